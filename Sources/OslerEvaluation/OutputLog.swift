package import OslerFormats

/// Every raw output of one side of an evaluation, a line of JSON each, written as it comes. The first line says what was
/// evaluated and how, so that a run that was stopped goes on only with what is the same.
package final class OutputLog {
    package struct Key: Hashable, Sendable {
        var task: String
        var id: String
        var kind: String
        var sample: Int
    }

    package private(set) var records: [Key: JSON.Object] = [:]
    private let file: AppendedFile

    /// - Parameters:
    ///   - identity: what was evaluated and how.
    ///   - restarts: outputs that are there are thrown away.
    /// - Throws: `InputError` when the file is of another evaluation.
    package init(_ path: String, identity: JSON, restarts: Bool) throws {
        let header = JSON.object(["evaluation": identity]).serialized(ensureASCII: false)
        var kept: [String] = []
        if !restarts, FileSystem.exists(path) {
            let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
            // The last line may be half of one.
            var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
                .map(String.init).dropLast()
            if let first = lines.first {
                guard (try? JSON.parse(first)) == (try? JSON.parse(header)) else {
                    throw InputError(
                        "holds outputs of another model, adapter, task or setting", file: path,
                        remedy: "give another --output, or --restart to replace them")
                }
                lines = lines.dropFirst()
            }
            for line in lines {
                guard let record = try? JSON.parse(line).object, let key = Key(record) else {
                    continue
                }
                records[key] = record
                kept.append(line)
            }
        }
        try AtomicFile.write(([header] + kept).map { $0 + "\n" }.joined(), to: path)
        file = try AppendedFile(path)
    }

    func append(_ record: JSON.Object) throws {
        try file.line(JSON.object(record).serialized(ensureASCII: false))
        if let key = Key(record) { records[key] = record }
    }
}

extension OutputLog.Key {
    static let (output, logLikelihoods, demonstration) = (
        "output", "loglikelihoods", "demonstration"
    )

    init(_ item: EvaluationItem, _ kind: String, sample: Int = 0) {
        (task, id, self.kind, self.sample) = (item.task, item.id, kind, sample)
    }

    init?(_ record: JSON.Object) {
        guard let task = record["task"]?.string, let id = record["id"]?.string,
            let kind = record["kind"]?.string
        else { return nil }
        (self.task, self.id, self.kind) = (task, id, kind)
        sample = record["sample"]?.integer ?? 0
    }

    /// The first columns of a record.
    var fields: JSON.Object {
        var fields: JSON.Object = [
            "task": .string(task), "id": .string(id), "kind": .string(kind),
        ]
        if kind == Self.output { fields["sample"] = .integer(sample) }
        return fields
    }
}
