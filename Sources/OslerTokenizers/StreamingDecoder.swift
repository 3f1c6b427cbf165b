/// Turns ids into text as they come, never giving half a character.
package struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    /// The bytes of a character that is not complete yet: at most three.
    private var pending: [UInt8] = []

    package init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = false) {
        (self.tokenizer, self.skipSpecialTokens) = (tokenizer, skipSpecialTokens)
    }

    /// The text that `id` completes; empty while a character is unfinished. All texts, with
    /// `finish()`, joined are what `Tokenizer.decode` gives.
    package mutating func push(_ id: Int32) -> String {
        pending.append(
            contentsOf: tokenizer.bytes(of: id, skipSpecialTokens: skipSpecialTokens))
        let complete = pending.count - Self.unfinished(pending)
        let text = String(decoding: pending[..<complete], as: UTF8.self)
        pending.removeFirst(complete)
        return text
    }

    /// What is left at the end: U+FFFD for an unfinished character.
    package mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// How many bytes at the end could begin a character that more bytes complete.
    private static func unfinished(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let byte = bytes[bytes.count - length]
            if byte & 0xC0 == 0x80 { continue }
            let needed =
                byte >= 0xF5 ? 0 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 0
            guard length < needed else { return 0 }
            return length == 1 || isPossible(byte, bytes[bytes.count - length + 1]) ? length : 0
        }
        return 0
    }

    /// Whether `second` may follow the lead byte (Unicode, table 3-7).
    private static func isPossible(_ lead: UInt8, _ second: UInt8) -> Bool {
        switch lead {
        case 0xE0: second >= 0xA0
        case 0xED: second < 0xA0
        case 0xF0: second >= 0x90
        case 0xF4: second < 0x90
        default: true
        }
    }
}
