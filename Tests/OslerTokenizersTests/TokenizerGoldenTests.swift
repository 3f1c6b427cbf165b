import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

/// Ids and texts that `tokenizers` gave.
@Suite struct TokenizerGoldenTests {
    static let names = ["smollm2", "deepseek-r1-distill-qwen", "deepseek-r1-distill-llama"]

    @Test func `SmolLM2 encodes the committed cases to the id`() throws {
        let cases = try TokenizerFixtures.cases(Fixtures.path("tokenizers/smollm2/encode.json"))
        #expect(cases.count == 209)
        try check(cases, TokenizerFixtures.tokenizer("smollm2"))
    }

    @Test func `SmolLM2 decodes the committed cases`() throws {
        let cases = try TokenizerFixtures.cases(Fixtures.path("tokenizers/smollm2/decode.json"))
        try checkDecoding(cases, TokenizerFixtures.tokenizer("smollm2"))
    }

    @Test(.enabled(if: Fixtures.sharedIsThere), arguments: names)
    func `every reference case is encoded and decoded`(_ name: String) throws {
        guard let folder = Fixtures.shared("tokenizers/" + name) else { return }
        let tokenizer = try TokenizerFixtures.tokenizer(name)
        let info = try JSON.parse(FileSystem.read(folder + "/info.json"))
        #expect(tokenizer.vocabularySize == info["vocab_size"]?.integer)
        #expect(tokenizer.bosToken?.text == info["bos"]?.string)
        #expect(tokenizer.bosToken.map { Int($0.id) } == info["bos_id"]?.integer)
        #expect(tokenizer.eosToken.map { Int($0.id) } == info["eos_id"]?.integer)
        #expect(tokenizer.padToken.map { Int($0.id) } == info["pad_id"]?.integer)
        #expect(tokenizer.chatTemplate?.isEmpty == false)
        try check(TokenizerFixtures.cases(folder + "/encode.json"), tokenizer)
        try checkDecoding(TokenizerFixtures.cases(folder + "/decode.json"), tokenizer)
    }

    private func check(_ cases: [JSON], _ tokenizer: Tokenizer) throws {
        for item in cases {
            let text = try #require(item["text"]?.string)
            let ids = try #require(item["ids"]).ids
            let found = tokenizer.encode(text)
            #expect(found == ids, "\(item["category"]?.string ?? "") \(text.debugDescription)")
            let bos = item["bos_added"]?.integer.map { [Int32($0)] } ?? []
            #expect(tokenizer.encode(text, addSpecialTokens: true) == bos + ids)
            let encoding = tokenizer.encodeWithOffsets(text)
            #expect(encoding.ids == ids)
            checkRanges(encoding, text, tokenizer)
        }
        try checkDecoding(cases, tokenizer)
    }

    /// Strings are compared by bytes: Swift's equality overlooks normalisation.
    private func checkDecoding(_ cases: [JSON], _ tokenizer: Tokenizer) throws {
        for item in cases {
            let ids = try #require(item["ids"]).ids
            let decoded = try #require(item["decoded"]?.string)
            #expect(Array(tokenizer.decode(ids).utf8) == Array(decoded.utf8), "\(ids)")
            let skipped = try #require(item["decoded_skip_special"]?.string)
            let found = tokenizer.decode(ids, skipSpecialTokens: true)
            #expect(Array(found.utf8) == Array(skipped.utf8), "\(ids)")
            var decoder = StreamingDecoder(tokenizer)
            let streamed = ids.map { decoder.push($0) } + [decoder.finish()]
            #expect(Array(streamed.joined().utf8) == Array(decoded.utf8), "\(ids)")
        }
    }

    /// Ranges rise; where normalisation changed nothing they cover the text without gaps and each
    /// token's bytes are those of its range.
    private func checkRanges(
        _ encoding: Tokenizer.Encoding, _ text: String, _ tokenizer: Tokenizer
    ) {
        #expect(encoding.ranges.count == encoding.ids.count)
        let bytes = Array(text.utf8)
        #expect(encoding.ranges.allSatisfy { $0.upperBound <= bytes.count })
        for (a, b) in zip(encoding.ranges, encoding.ranges.dropFirst()) {
            #expect(a.lowerBound <= b.lowerBound && a.upperBound <= b.upperBound)
        }
        guard Array(tokenizer.decode(encoding.ids).utf8) == bytes else { return }
        #expect(encoding.ranges.first?.lowerBound ?? 0 == 0)
        #expect(encoding.ranges.last?.upperBound ?? 0 == bytes.count)
        for (a, b) in zip(encoding.ranges, encoding.ranges.dropFirst()) {
            #expect(a.upperBound == b.lowerBound, "\(text.debugDescription)")
        }
        for (id, range) in zip(encoding.ids, encoding.ranges) {
            let piece = String(decoding: bytes[range], as: UTF8.self)
            #expect(tokenizer.decode([id]) == piece)
        }
    }
}
