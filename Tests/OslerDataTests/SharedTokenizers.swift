import OslerData
import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

/// Real tokenizers with templates out of the shared reference, which are not part of the project.
enum SharedTokenizers {
    private static let loaded: [String: Tokenizer] = {
        var loaded: [String: Tokenizer] = [:]
        for name in ["smollm2", "deepseek-r1-distill-qwen", "deepseek-r1-distill-llama"] {
            guard let folder = Fixtures.shared("tokenizers/" + name) else { continue }
            loaded[name] = try? load(folder)
        }
        return loaded
    }()

    /// The reference keeps `tokenizer.json` compressed.
    private static func load(_ folder: String) throws -> Tokenizer {
        try withTemporaryFolder { copy in
            for name in try FileSystem.list(folder) where name.contains(".json") {
                var bytes = try FileSystem.read(FileSystem.join(folder, name))
                var target = name
                if name.hasSuffix(".gz") {
                    bytes = try bytes.withUnsafeBytes { try Gzip.decompress($0) }
                    target.removeLast(3)
                }
                try AtomicFile.write(bytes, to: FileSystem.join(copy, target))
            }
            return try Tokenizer.load(copy)
        }
    }

    /// - Parameter template: `own`, or the file name in `chat-templates`.
    static func context(
        _ tokenizer: String, template: String = "own", eosToken: String? = nil
    ) throws -> ChatContext {
        var source: ChatTemplate?
        if template != "own" {
            let file = String(template.map { $0 == "_" ? "-" : $0 })
            let path = try #require(Fixtures.shared("chat-templates/templates/\(file).jinja"))
            let text = try MappedFile(path).withBytes { String(decoding: $0, as: UTF8.self) }
            source = try ChatTemplate(text)
        }
        return try ChatContext(
            tokenizer: try #require(loaded[tokenizer]), template: source, eosToken: eosToken)
    }
}

extension ChatContext {
    /// Messages as the shipped template writes them.
    func rendered(_ messages: JSON) throws -> String {
        try render(messages.array ?? []).text
    }
}
