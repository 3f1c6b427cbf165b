internal import OslerFormats

/// The folder of a run: `checkpoint-N/` folders and `metrics.jsonl`.
package struct RunFolder: Sendable {
    package let path: String
    /// Recorded in saved adapters as their base.
    package let baseModel: String

    /// - Throws: when the folder can't be made or written to.
    package init(path: String, baseModel: String) throws {
        (self.path, self.baseModel) = (path, baseModel)
        try FileSystem.createDirectories(path)
    }

    package func checkpointPath(_ step: Int) -> String {
        FileSystem.join(path, "checkpoint-\(step)")
    }

    /// Steps of the complete checkpoints in the folder, rising.
    package func checkpointSteps() throws -> [Int] {
        try FileSystem.list(path).compactMap { name in
            guard name.hasPrefix("checkpoint-") else { return nil }
            return Int(name.dropFirst("checkpoint-".count))
        }.filter { FileSystem.isDirectory(checkpointPath($0)) }.sorted()
    }

    /// Removes the oldest checkpoints beyond `limit`.
    func prune(keeping limit: Int) throws {
        for step in try checkpointSteps().dropLast(max(1, limit)) {
            try FileSystem.remove(checkpointPath(step))
        }
    }

    /// One JSON object a line, TRL's metric names; rewritten whole, so that it never holds half a line and a resumed run
    /// replaces what came after its checkpoint.
    func writeMetrics(_ log: [JSON]) throws {
        let text = log.map { $0.serialized() + "\n" }.joined()
        try AtomicFile.write(text, to: FileSystem.join(path, "metrics.jsonl"))
    }
}
