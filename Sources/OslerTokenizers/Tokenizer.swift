internal import OslerFormats

/// A byte-level BPE tokenizer: text to token ids and back, exactly as Hugging Face's `tokenizers`.
package struct Tokenizer: Sendable {
    package struct SpecialToken: Sendable, Equatable {
        package var id: Int32
        package var text: String
    }

    /// Ids, and for each the UTF-8 byte range of the text that it stands for.
    package struct Encoding: Sendable, Equatable {
        package var ids: [Int32]
        package var ranges: [Range<Int>]
    }

    /// Reads a Hugging Face folder (`tokenizer.json`, `tokenizer_config.json`,
    /// `chat_template.jinja`) or the metadata of a `.gguf` file.
    package static func load(_ path: String) throws -> Tokenizer {
        throw InputError("tokenizers are not readable yet", file: path)
    }

    package func encode(_ text: String, addSpecialTokens: Bool = false) -> [Int32] { [] }
    package func encodeWithOffsets(_ text: String, addSpecialTokens: Bool = false) -> Encoding {
        Encoding(ids: [], ranges: [])
    }
    package func decode(_ ids: [Int32], skipSpecialTokens: Bool = false) -> String { "" }

    /// One more than the largest token id: the rows that an embedding must have.
    package var vocabularySize: Int { 0 }
    package var bosToken: SpecialToken? { nil }
    package var eosToken: SpecialToken? { nil }
    package var padToken: SpecialToken? { nil }
    package var unkToken: SpecialToken? { nil }
    /// The source of the chat template; nil if the model ships none.
    package var chatTemplate: String? { nil }
    package func id(of token: String) -> Int32? { nil }
    package func token(of id: Int32) -> String? { nil }
}
