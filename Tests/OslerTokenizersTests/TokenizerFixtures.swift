import OslerFormats
import OslerTestSupport
import OslerTokenizers

/// The reference tokenizers, unpacked into a temporary folder once.
enum TokenizerFixtures {
    static let smollm2 = Result { try unpacked(Fixtures.path("tokenizers/smollm2"), "smollm2") }
    static let others: [String: Result<Tokenizer, any Error>] = [
        "deepseek-r1-distill-qwen", "deepseek-r1-distill-llama",
    ].reduce(into: [:]) { all, name in
        guard let folder = Fixtures.shared("tokenizers/" + name) else { return }
        all[name] = Result { try unpacked(folder, name) }
    }

    static func tokenizer(_ name: String) throws -> Tokenizer {
        guard name != "smollm2" else { return try smollm2.get() }
        guard let result = others[name] else { throw InputError("no such fixture", file: name) }
        return try result.get()
    }

    private static func unpacked(_ folder: String, _ name: String) throws -> Tokenizer {
        try withTemporaryFolder { target in
            let packed = try FileSystem.read(folder + "/tokenizer.json.gz")
            let json = try packed.withUnsafeBytes { try Gzip.decompress($0) }
            try write(json, to: target + "/tokenizer.json")
            try write(
                FileSystem.read(folder + "/tokenizer_config.json"),
                to: target + "/tokenizer_config.json")
            return try Tokenizer.load(target)
        }
    }

    static func cases(_ path: String) throws -> [JSON] {
        try JSON.parse(FileSystem.read(path), file: path).array ?? []
    }
}

extension JSON {
    var ids: [Int32] {
        (array ?? []).compactMap { $0.integer.map(Int32.init(truncatingIfNeeded:)) }
    }
}
