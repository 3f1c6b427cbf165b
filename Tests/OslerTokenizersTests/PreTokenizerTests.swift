import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

@Suite struct PreTokenizerTests {
    static let fixture = Result {
        try JSON.parse(FileSystem.read(Fixtures.path("tokenizers/pre-tokenizers.json")))
    }

    /// 450 texts of awkward characters, split by the real library.
    @Test(arguments: [
        "gpt2", "gpt2-prefix", "gpt2-split", "smollm", "digit-runs", "digits-prefix", "llama3",
        "qwen2", "deepseek-v3", "deepseek-llm", "deepseek-coder",
    ])
    func `scanners split as the regular expressions do`(_ name: String) throws {
        let fixture = try Self.fixture.get()
        let texts = try #require(fixture["texts"]?.array)
        let item = try #require(fixture["cases"]?.array?.first { $0["name"]?.string == name })
        let tokenizer = try PreTokenizer(#require(item["pre_tokenizer"]), file: name)
        for (text, lengths) in zip(texts, try #require(item["lengths"]?.array)) {
            let text = try #require(text.string)
            let found = tokenizer.pieceLengths(text).map(Int32.init)
            #expect(found == lengths.ids, "\(text.debugDescription)")
        }
    }

    @Test func `composition is that of the library`() throws {
        let cases = try TokenizerFixtures.cases(Fixtures.path("tokenizers/nfc.json"))
        #expect(cases.count > 250)
        for item in cases {
            let (text, composed) = (item.array?[0].string ?? "", item.array?[1].string ?? "")
            #expect(
                Array(Normalizer.nfc.normalized(text).utf8) == Array(composed.utf8),
                "\(text.debugDescription)")
        }
    }
}
