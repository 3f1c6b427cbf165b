import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

/// The same tokenizer out of GGUF metadata.
@Suite struct GGUFTokenizerTests {
    /// Metadata of a GGUF file: strings, string arrays, numbers.
    struct Writer {
        var bytes: [UInt8] = []
        var count = 0

        mutating func put(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
        }
        mutating func put(_ text: String) {
            put(UInt64(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        mutating func key(_ name: String, _ type: UInt32) {
            put("tokenizer." + name)
            put(type)
            count += 1
        }
        mutating func add(_ name: String, _ text: String) {
            key(name, 8)
            put(text)
        }
        mutating func add(_ name: String, _ texts: [String]) {
            key(name, 9)
            put(UInt32(8))
            put(UInt64(texts.count))
            for text in texts { put(text) }
        }
        mutating func add(_ name: String, _ numbers: [Int32]) {
            key(name, 9)
            put(UInt32(5))
            put(UInt64(numbers.count))
            for number in numbers { put(number) }
        }
        mutating func add(_ name: String, id: UInt32) {
            key(name, 4)
            put(id)
        }
        mutating func add(_ name: String, _ flag: Bool) {
            key(name, 7)
            put(UInt8(flag ? 1 : 0))
        }
        var file: [UInt8] {
            var head = Writer()
            head.bytes = Array("GGUF".utf8)
            head.put(UInt32(3))
            head.put(UInt64(0))
            head.put(UInt64(count))
            return head.bytes + bytes
        }
    }

    static func load(_ writer: Writer) throws -> Tokenizer {
        try withTemporaryFolder { folder in
            try write(writer.file, to: folder + "/model.gguf")
            return try Tokenizer.load(folder + "/model.gguf")
        }
    }

    /// What llama.cpp's converter makes of a `tokenizer.json`.
    static func convert(_ json: JSON, pre: String) throws -> Writer {
        var tokens: [Int: (text: String, type: Int32)] = [:]
        for (text, id) in try #require(json["model"]?["vocab"]?.object).pairs {
            tokens[try #require(id.integer)] = (text, 1)
        }
        for item in json["added_tokens"]?.array ?? [] {
            let isSpecial = item["special"]?.bool == true
            tokens[try #require(item["id"]?.integer)] = (
                try #require(item["content"]?.string), isSpecial ? 3 : 4
            )
        }
        let ordered = tokens.sorted { $0.key < $1.key }.map(\.value)
        var writer = Writer()
        writer.add("ggml.model", "gpt2")
        writer.add("ggml.pre", pre)
        writer.add("ggml.tokens", ordered.map(\.text))
        writer.add("ggml.token_type", ordered.map(\.type))
        writer.add(
            "ggml.merges",
            (json["model"]?["merges"]?.array ?? []).map {
                $0.string ?? ($0.array ?? []).compactMap(\.string).joined(separator: " ")
            })
        return writer
    }

    static func reference(_ folder: String) throws -> JSON {
        let packed = try FileSystem.read(folder + "/tokenizer.json.gz")
        return try JSON.parse(packed.withUnsafeBytes { try Gzip.decompress($0) })
    }

    @Test func `SmolLM2 from GGUF gives the same ids`() throws {
        let folder = Fixtures.path("tokenizers/smollm2")
        var writer = try Self.convert(Self.reference(folder), pre: "smollm")
        writer.add("ggml.bos_token_id", id: 1)
        writer.add("ggml.eos_token_id", id: 2)
        writer.add("ggml.add_bos_token", false)
        writer.add("chat_template", "{{ x }}")
        let tokenizer = try Self.load(writer)
        #expect(tokenizer.bosToken?.text == "<|im_start|>")
        #expect(tokenizer.eosToken?.text == "<|im_end|>")
        #expect(tokenizer.chatTemplate == "{{ x }}")
        try check(tokenizer, folder)
    }

    @Test(
        .enabled(if: Fixtures.sharedIsThere),
        arguments: [
            ("deepseek-r1-distill-qwen", "deepseek-r1-qwen", 151646),
            ("deepseek-r1-distill-llama", "llama-bpe", 128000),
        ])
    func `DeepSeek from GGUF gives the same ids`(_ name: String, _ pre: String, _ bos: Int) throws {
        guard let folder = Fixtures.shared("tokenizers/" + name) else { return }
        var writer = try Self.convert(Self.reference(folder), pre: pre)
        writer.add("ggml.bos_token_id", id: UInt32(bos))
        writer.add("ggml.add_bos_token", true)
        let tokenizer = try Self.load(writer)
        #expect(tokenizer.encode("hi", addSpecialTokens: true).first == Int32(bos))
        try check(tokenizer, folder)
    }

    private func check(_ tokenizer: Tokenizer, _ folder: String) throws {
        for item in try TokenizerFixtures.cases(folder + "/encode.json") {
            let text = try #require(item["text"]?.string)
            let ids = try #require(item["ids"]).ids
            #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
            let skipped = item["decoded_skip_special"]?.string
            #expect(tokenizer.decode(ids, skipSpecialTokens: true) == skipped)
        }
    }

    @Test(arguments: ["deepseek-llm", "deepseek-coder", "deepseek-v3", "gpt-2", "qwen2"])
    func `named pre-tokenizers are known`(_ pre: String) throws {
        var writer = Writer()
        writer.add("ggml.model", "gpt2")
        writer.add("ggml.pre", pre)
        writer.add("ggml.tokens", ["a", "b", "ab", "<x>"])
        writer.add("ggml.token_type", [1, 1, 1, 4])
        writer.add("ggml.merges", ["a b"])
        #expect(try Self.load(writer).encode("ab<x>a") == [2, 3, 0])
    }

    @Test(arguments: [
        ("llama", "smollm", "a b", 0, "tokenizer.ggml.model: \"llama\" is not a known"),
        ("gpt2", "tekken", "a b", 0, "tokenizer.ggml.pre: \"tekken\" is not a known"),
        ("gpt2", "smollm", "ab", 0, "merges[0]: must be two tokens"),
        ("gpt2", "smollm", "a q", 0, "needs \"q\""),
        ("gpt2", "smollm", "a b", 9, "bos_token_id: is not the id of one of 3 tokens"),
    ])
    func `bad metadata is one clear error`(
        _ model: String, _ pre: String, _ merge: String, _ bos: UInt32, _ expected: String
    ) throws {
        var writer = Writer()
        writer.add("ggml.model", model)
        writer.add("ggml.pre", pre)
        writer.add("ggml.tokens", ["a", "b", "ab"])
        writer.add("ggml.merges", [merge])
        writer.add("ggml.bos_token_id", id: bos)
        let error = #expect(throws: InputError.self) { try Self.load(writer) }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }
}
