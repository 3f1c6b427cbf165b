/// A word or a sign of an answer.
struct AnswerToken: Equatable {
    enum Kind: Equatable {
        /// Letters and digits, with what they were in the text.
        case word
        case sign
        case lineEnd
    }

    var kind: Kind
    /// As written.
    var text: String
    /// In lower case.
    var key: String
    /// White space, a line end or the beginning stands before it.
    var follows: Bool

    var isLineEnd: Bool { kind == .lineEnd }
    func isSign(_ signs: Set<String>) -> Bool { kind == .sign && signs.contains(text) }

    static func tokens(_ text: String) -> [AnswerToken] {
        var tokens: [AnswerToken] = []
        var word = ""
        var follows = true
        func add(_ kind: Kind, _ text: String) {
            tokens.append(
                AnswerToken(kind: kind, text: text, key: text.lowercased(), follows: follows))
            follows = false
        }
        func endWord() {
            if !word.isEmpty { add(.word, word) }
            word = ""
        }
        for character in text {
            if character.isLetter || character.isNumber {
                word.append(character)
                continue
            }
            endWord()
            if character.isNewline {
                add(.lineEnd, "\n")
                follows = true
            } else if character.isWhitespace {
                follows = true
            } else {
                add(.sign, String(character))
            }
        }
        endWord()
        return tokens
    }
}

/// The words of a text in lower case, without signs.
package func normalizedWords(_ text: String) -> [String] {
    AnswerToken.tokens(text).filter { $0.kind == .word }.map(\.key)
}
