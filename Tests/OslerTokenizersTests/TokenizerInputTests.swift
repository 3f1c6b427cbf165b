import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

/// Small `tokenizer.json` files, good and bad.
@Suite struct TokenizerInputTests {
    static let vocabulary = #"{"a":0,"b":1,"c":2,"ab":3,"abc":4,"Ġ":5,"Ġa":6,"d":7}"#
    static let merges = #"["a b",["ab","c"],"Ġ a"]"#
    static let byteLevel =
        #"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#

    static func json(
        vocabulary: String = vocabulary, merges: String = merges, model: String = "",
        added: String = "[]", normalizer: String = "null", preTokenizer: String = byteLevel,
        post: String = "null", decoder: String = byteLevel
    ) -> String {
        """
        {"added_tokens":\(added),"normalizer":\(normalizer),"pre_tokenizer":\(preTokenizer),
        "post_processor":\(post),"decoder":\(decoder),
        "model":{"type":"BPE"\(model),"vocab":\(vocabulary),"merges":\(merges)}}
        """
    }

    static func load(_ json: String, configuration: String? = nil) throws -> Tokenizer {
        try withTemporaryFolder { folder in
            try write(Array(json.utf8), to: folder + "/tokenizer.json")
            if let configuration {
                try write(Array(configuration.utf8), to: folder + "/tokenizer_config.json")
            }
            return try Tokenizer.load(folder)
        }
    }

    @Test func `merges are read as pairs and as strings`() throws {
        let tokenizer = try Self.load(Self.json())
        #expect(tokenizer.encode("abc a") == [4, 6])
        #expect(tokenizer.encode("") == [])
        #expect(tokenizer.decode([6, 4]) == " aabc")
        #expect(tokenizer.vocabularySize == 8)
        #expect(tokenizer.id(of: "Ġa") == 6)
        #expect(tokenizer.token(of: 6) == "Ġa")
        #expect(tokenizer.token(of: 99) == nil)
        #expect(tokenizer.id(of: "x") == nil)
        #expect(tokenizer.decode([-1, 99, 0]) == "a")
        // A byte without a token vanishes, as in the library.
        #expect(tokenizer.encode("axb") == [3])
    }

    @Test func `flags of added tokens are followed`() throws {
        func token(_ id: Int, _ text: String, _ flags: String...) -> String {
            let names = ["special", "single_word", "lstrip", "rstrip", "normalized"]
            let values = names.map { #""\#($0)":\#(flags.contains($0))"# }.joined(separator: ",")
            return #"{"id":\#(id),"content":"\#(text)",\#(values)}"#
        }
        let added = [
            token(8, "<l>", "lstrip", "special"), token(9, "<r>", "rstrip"),
            token(10, "dd", "single_word"), token(11, "<l>a"), token(12, "é", "normalized"),
        ].joined(separator: ",")
        let tokenizer = try Self.load(
            Self.json(added: "[\(added)]", normalizer: #"{"type":"NFC"}"#))
        #expect(tokenizer.encode("a  <l>b") == [0, 8, 1])
        #expect(tokenizer.encode("a<r>  b") == [0, 9, 1])
        #expect(tokenizer.encode("a dd d") == [0, 5, 10, 5, 7])
        #expect(tokenizer.encode("add") == [0, 7, 7])
        #expect(tokenizer.encode("<l>a") == [11])
        let composed = tokenizer.encodeWithOffsets("ae\u{301}b")
        #expect(composed.ids == [0, 12, 1])
        #expect(composed.ranges == [0..<1, 1..<4, 4..<5])
        #expect(tokenizer.decode([0, 8, 1], skipSpecialTokens: true) == "ab")
        #expect(tokenizer.decode([0, 9, 1], skipSpecialTokens: true) == "a<r>b")
        #expect(tokenizer.vocabularySize == 13)
        let offsets = tokenizer.encodeWithOffsets("a  <l>b")
        #expect(offsets.ranges == [0..<1, 1..<6, 6..<7])
    }

    @Test func `a template puts tokens around the text`() throws {
        let post = #"""
            {"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing",
            "single":[{"SpecialToken":{"id":"c","type_id":0}},{"Sequence":{"id":"A","type_id":0}},
            {"SpecialToken":{"id":"d","type_id":0}}],
            "special_tokens":{"c":{"id":"c","ids":[2]},"d":{"id":"d","ids":[7]}}}]}
            """#
        let tokenizer = try Self.load(
            Self.json(post: post),
            configuration: #"{"bos_token":{"content":"c"},"eos_token":"d","chat_template":"T"}"#)
        let encoding = tokenizer.encodeWithOffsets("ab", addSpecialTokens: true)
        #expect(encoding.ids == [2, 3, 7])
        #expect(encoding.ranges == [0..<0, 0..<2, 2..<2])
        #expect(tokenizer.bosToken == Tokenizer.SpecialToken(id: 2, text: "c"))
        #expect(tokenizer.eosToken?.id == 7)
        #expect(tokenizer.padToken == nil)
        #expect(tokenizer.chatTemplate == "T")
    }

    @Test func `an added space is in no range`() throws {
        let pre = #"{"type":"ByteLevel","add_prefix_space":true,"use_regex":true}"#
        let encoding = try Self.load(Self.json(preTokenizer: pre)).encodeWithOffsets("ab")
        #expect(encoding.ids == [5, 3])
        #expect(encoding.ranges == [0..<0, 0..<2])
    }

    @Test(arguments: [
        (json(vocabulary: "{"), "line 3"),
        (String(json().dropLast(40)), "line 3"),
        ("[]", "no vocabulary"),
        (#"{"model":{"type":"BPE"}}"#, "no vocabulary"),
        (json(vocabulary: "{}"), "has no tokens"),
        (json(vocabulary: #"{"a":0,"b":-1}"#), "id of 0 or more"),
        (json(vocabulary: #"{"a":0,"b":"1"}"#), "id of 0 or more"),
        (json(vocabulary: #"{"a":0,"b":0}"#), "both have id 0"),
        (json(vocabulary: #"{"a":0,"b":2000000000}"#), "id 2000000000 is too large"),
        (json(merges: #"["a x"]"#), "model.merges[0]: \"a x\" needs \"x\""),
        (json(merges: #"["a b","b a"]"#), "model.merges[1]: \"b a\" needs \"ba\""),
        (json(merges: #"["ab"]"#), "must be a list"),
        (json(merges: #"["a b c"]"#), "must be a list"),
        (json(merges: #"[["a","b","c"]]"#), "must be a list"),
        (json(merges: #"[1]"#), "must be a list"),
        (json(model: #","unk_token":"x""#), "model.unk_token: \"x\" is not in"),
        (json(model: #","end_of_word_suffix":"</w>""#), "end_of_word_suffix"),
        (json(model: #","dropout":0.1"#), "model.dropout"),
        (json().replacing("BPE", with: "Unigram"), "\"Unigram\" is not a known tokenizer model"),
        (
            json(normalizer: #"{"type":"NFKC"}"#),
            "\"NFKC\" is not a known normalizer; known are NFC"
        ),
        (json(preTokenizer: "null"), "pre_tokenizer: there is none"),
        (json(preTokenizer: #"{"type":"Metaspace"}"#), "\"Metaspace\" is not a known pre-tok"),
        (
            json(
                preTokenizer: #"{"type":"Split","pattern":{"Regex":"(a|b)"},"behavior":"Isolated"}"#
            ),
            "the regular expression (a|b) is not known"
        ),
        (
            json(
                preTokenizer: #"{"type":"Split","pattern":{"Regex":"[a]+"},"behavior":"Removed"}"#),
            "the behavior \"Removed\" is not known"
        ),
        (json(preTokenizer: #"{"type":"Digits"}"#), "none of its steps is ByteLevel"),
        (json(post: #"{"type":"BertProcessing"}"#), "\"BertProcessing\" is not a known post"),
        (
            json(post: #"{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"q"}}]}"#),
            "names no special token"
        ),
        (json(decoder: #"{"type":"Metaspace"}"#), "\"Metaspace\" is not a known decoder"),
        (json(added: #"[{"id":0,"content":"z"}]"#), "\"z\" has id 0, which is \"a\""),
        (json(added: #"[{"content":"z"}]"#), "added_tokens[0]: needs a content and an id"),
        (json(added: #"[{"id":2000000000,"content":"z"}]"#), "id 2000000000 is too large"),
    ])
    func `a bad file is one clear error`(_ json: String, _ expected: String) throws {
        let error = #expect(throws: InputError.self) { try Self.load(json) }
        let line = error?.description ?? ""
        #expect(line.contains(expected), "\(line)")
        #expect(line.contains("tokenizer.json: "))
        #expect(!line.contains("\n"))
    }

    @Test func `missing files and tokens are named`() throws {
        let missing = #expect(throws: InputError.self) { try Tokenizer.load("/nowhere/model") }
        #expect(missing?.description.contains("has no tokenizer.json") == true)
        let error = #expect(throws: InputError.self) {
            try Self.load(Self.json(), configuration: #"{"eos_token":"</s>"}"#)
        }
        #expect(error?.description.contains("eos_token: \"</s>\" is not in") == true)
        #expect(throws: InputError.self) {
            try Self.load(Self.json(), configuration: #"{"eos_token":3}"#)
        }
    }

    @Test func `a file cut anywhere is an error`() throws {
        let json = Array(Self.json().utf8)
        try withTemporaryFolder { folder in
            for count in 0..<json.count {
                try write(Array(json[..<count]), to: folder + "/tokenizer.json")
                #expect(throws: InputError.self, "\(count) bytes") { try Tokenizer.load(folder) }
            }
        }
    }

    @Test func `words of 100 000 characters are encoded`() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("smollm2")
        for unit in ["a", "ab", "thequickbrownfox", "é", "中", "=", " ", "\n"] {
            let text = String(repeating: unit, count: 100_000 / unit.count)
            let ids = tokenizer.encode(text)
            #expect(tokenizer.decode(ids) == text)
        }
    }
}
