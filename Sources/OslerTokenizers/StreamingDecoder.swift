/// Turns ids into text as they come, never giving half a character.
package struct StreamingDecoder {
    package init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = false) {}

    /// The text that `id` completes; empty while a character is unfinished.
    package mutating func push(_ id: Int32) -> String { "" }

    /// What is left at the end: U+FFFD for an unfinished character.
    package mutating func finish() -> String { "" }
}
