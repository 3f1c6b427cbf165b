internal import OslerFormats

/// A byte-level BPE tokenizer: text to token ids and back, exactly as Hugging Face's `tokenizers`.
///
/// A value that may be used from several threads at a time.
package struct Tokenizer: Sendable {
    package struct SpecialToken: Sendable, Equatable {
        package var id: Int32
        package var text: String

        package init(id: Int32, text: String) { (self.id, self.text) = (id, text) }
    }

    let encoder: TextEncoder
    private let vocabulary: Vocabulary
    /// Tokens whose text is no byte-level spelling, or that are in the added tokens only.
    private let idsOfOthers: [[UInt8]: Int32]
    private let textsOfOthers: [Int32: String]
    private let specialIds: Set<Int32>

    /// One more than the largest token id: the rows that an embedding must have at least.
    package var vocabularySize: Int { vocabulary.size }
    package let bosToken: SpecialToken?
    package let eosToken: SpecialToken?
    package let padToken: SpecialToken?
    package let unkToken: SpecialToken?
    /// The source of the chat template; nil if the model ships none.
    package let chatTemplate: String?

    /// Reads a Hugging Face folder (`tokenizer.json`, `tokenizer_config.json`,
    /// `chat_template.jinja`) or the metadata of a `.gguf` file.
    ///
    /// - Throws: `InputError` for a file that is missing or malformed, and for a model, normalizer,
    ///   pre-tokenizer, post-processor or decoder that Osler doesn't know.
    package static func load(_ path: String) throws -> Tokenizer {
        if path.hasSuffix(".gguf") || GGUFFile.isGGUF(path) {
            return try Tokenizer(GGUFTokenizer.read(path))
        }
        return try Tokenizer(TokenizerFolder.read(path))
    }

    /// The tokenizer of a model whose embedding has this many rows.
    ///
    /// - Throws: as `load`, and when there are tokens without a row.
    package static func load(_ path: String, embeddingRows: Int) throws -> Tokenizer {
        let tokenizer = try load(path)
        guard tokenizer.vocabularySize <= embeddingRows else {
            throw InputError(
                "the tokenizer has \(tokenizer.vocabularySize) entries, the model's embedding "
                    + "\(embeddingRows)", file: path, field: "vocab_size",
                remedy: "the tokenizer belongs to another model")
        }
        return tokenizer
    }

    init(_ source: TokenizerSource) throws {
        let builder = try VocabularyBuilder(source)
        let vocabulary = builder.vocabulary
        let merges = try builder.merges()
        self.vocabulary = vocabulary
        (idsOfOthers, textsOfOthers) = (builder.idsOfOthers, builder.textsOfOthers)
        specialIds = Set(source.addedTokens.lazy.filter(\.isSpecial).map(\.id))
        chatTemplate = source.chatTemplate

        func id(_ text: String) -> Int32? {
            Self.id(of: text, vocabulary, builder.idsOfOthers)
        }
        func special(_ text: String?, _ field: String) throws -> SpecialToken? {
            guard let text else { return nil }
            // Old configurations name an unknown token that the vocabulary doesn't have.
            if let id = id(text) { return SpecialToken(id: id, text: text) }
            if field == "unk_token" { return nil }
            throw InputError(
                "\"\(text)\" is not in the vocabulary", file: source.file, field: field)
        }
        bosToken = try special(source.specials.bos, "bos_token")
        eosToken = try special(source.specials.eos, "eos_token")
        padToken = try special(source.specials.pad, "pad_token")
        unkToken = try special(source.specials.unk, "unk_token")

        var unknown: Int32?
        if let text = source.unknownToken {
            unknown = id(text)
            if unknown == nil {
                throw InputError(
                    "\"\(text)\" is not in the vocabulary", file: source.file,
                    field: "model.unk_token")
            }
        }
        for token in source.prefix + source.suffix where token < 0 || token >= vocabulary.size {
            throw InputError(
                "token id \(token) is not in the vocabulary", file: source.file,
                field: "post_processor")
        }
        let pairs = BytePairEncoder(
            vocabulary: vocabulary, merges: merges, unknown: unknown,
            fusesUnknown: source.fusesUnknown, ignoresMerges: source.ignoresMerges)
        encoder = TextEncoder(source, pairs)
    }

    /// The id of a token as the vocabulary writes it (`Ġthe`) or as an added token reads.
    package func id(of token: String) -> Int32? {
        Self.id(of: token, vocabulary, idsOfOthers)
    }

    private static func id(
        of token: String, _ vocabulary: Vocabulary, _ others: [[UInt8]: Int32]
    ) -> Int32? {
        let text = Array(token.utf8)
        if let id = others[text] { return id }
        var bytes: [UInt8] = []
        let isSpelling = text.withUnsafeBufferPointer {
            ByteLevelAlphabet.append($0, to: &bytes, table: ByteLevelAlphabet.bytes)
        }
        guard isSpelling, !bytes.isEmpty else { return nil }
        let id = bytes.withUnsafeBufferPointer { bytes in
            bytes.baseAddress.map { vocabulary.id(of: $0, bytes.count) } ?? -1
        }
        return id >= 0 ? id : nil
    }

    /// The token as the vocabulary writes it; nil for an id that it doesn't have.
    package func token(of id: Int32) -> String? {
        if let text = textsOfOthers[id] { return text }
        let bytes = vocabulary.bytes(of: id)
        return bytes.isEmpty ? nil : ByteLevelAlphabet.spelling(of: bytes)
    }

    /// The bytes that `id` stands for; none for a special token that is to be skipped and for an id
    /// that the vocabulary doesn't have.
    @inline(__always)
    func bytes(of id: Int32, skipSpecialTokens: Bool) -> UnsafeBufferPointer<UInt8> {
        if skipSpecialTokens, specialIds.contains(id) {
            return UnsafeBufferPointer(start: nil, count: 0)
        }
        return vocabulary.bytes(of: id)
    }

    /// The text of `ids`; bytes that form no character become U+FFFD.
    package func decode(_ ids: [Int32], skipSpecialTokens: Bool = false) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ids.count * 4)
        for id in ids {
            bytes.append(contentsOf: self.bytes(of: id, skipSpecialTokens: skipSpecialTokens))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
