/// Many byte strings one behind the other: 100 000 tokens without as many allocations.
struct ByteStrings: Sendable {
    private(set) var bytes: [UInt8] = []
    private var ends: [Int] = []

    var count: Int { ends.count }

    mutating func append(_ more: some Collection<UInt8>) {
        bytes.append(contentsOf: more)
        ends.append(bytes.count)
    }

    /// Appends what `write` appends to the bytes.
    mutating func append(writing write: (inout [UInt8]) throws -> Void) rethrows {
        try write(&bytes)
        ends.append(bytes.count)
    }

    func range(_ i: Int) -> Range<Int> { (i == 0 ? 0 : ends[i - 1])..<ends[i] }
    func text(_ i: Int) -> String { String(decoding: bytes[range(i)], as: UTF8.self) }
}

/// What a tokenizer file says, whichever kind of file it was; `Tokenizer` is built from it.
struct TokenizerSource: Sendable {
    /// The file to name in errors.
    var file: String
    /// The vocabulary in the byte-level spelling, and the id of each token.
    var tokens = ByteStrings()
    var ids: [Int] = []
    /// Left and right token of every merge, alternating, in the byte-level spelling.
    var mergeSides = ByteStrings()
    var addedTokens: [AddedToken] = []
    var normalizer = Normalizer.none
    var preTokenizer = PreTokenizer(steps: [])
    var ignoresMerges = false
    var unknownToken: String?
    var fusesUnknown = false
    /// What `addSpecialTokens` puts before and behind the text.
    var prefix: [Int32] = []
    var suffix: [Int32] = []
    var specials = SpecialTokens()
    var chatTemplate: String?

    /// The named special tokens, by content.
    struct SpecialTokens: Sendable, Equatable {
        var bos: String?
        var eos: String?
        var pad: String?
        var unk: String?
    }
}
