package import OslerFormats

/// What a run left in its folder, as far as a report needs it. Whatever is absent is nil or empty.
package struct RunFiles: Sendable {
    package static let recordName = "run.json"

    package var folder: String
    /// What was trained on what: `run.json`.
    package var record: JSON.Object = [:]
    /// The log, with TRL's names.
    package var log: [JSON] = []
    /// One entry a step, with pace and memory.
    package var steps: [JSON] = []
    /// `evaluation/comparison.json`
    package var comparison: JSON?
    /// `evaluation/items.jsonl`
    package var items: [JSON] = []

    package init(folder: String) { self.folder = folder }

    /// - Throws: when the folder holds nothing of a run, or a file is damaged. Half a last line, which a killed run may
    ///   leave, is passed over.
    package init(reading folder: String) throws {
        self.init(folder: folder)
        guard FileSystem.isDirectory(folder) else {
            throw InputError(
                "no such folder", file: folder, remedy: "name the output_dir of a training run")
        }
        func path(_ name: String) -> String? {
            let path = FileSystem.join(folder, name)
            return FileSystem.exists(path) ? path : nil
        }
        if let path = path(Self.recordName) {
            guard let object = try JSON.parse(file: path).object else {
                throw InputError("not a JSON object", file: path)
            }
            record = object
        }
        if let path = path("metrics.jsonl") { log = try Self.lines(path) }
        if let path = path("steps.jsonl") { steps = try Self.lines(path) }
        if let path = path("evaluation/comparison.json") { comparison = try JSON.parse(file: path) }
        if let path = path("evaluation/items.jsonl") { items = try Self.lines(path) }
        guard !record.isEmpty || !log.isEmpty || comparison != nil else {
            throw InputError(
                "holds no run.json, no metrics.jsonl and no evaluation", file: folder,
                remedy: "name the output_dir of a training run")
        }
    }

    private static func lines(_ path: String) throws -> [JSON] {
        let bytes = try FileSystem.read(path)
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        var values = try bytes[..<end].withUnsafeBytes { try JSONLines.parse($0, file: path) }
        // A last line without an end counts where it is whole.
        if let last = try? JSON.parse(String(decoding: bytes[end...], as: UTF8.self)) {
            values.append(last)
        }
        return values
    }
}
