internal import OslerFormats

/// How near an answer in words comes to the reference, as SQuAD 2.0 measures it (Rajpurkar et al. 2018).
package struct OpenAnswer: Sendable, Equatable {
    /// The answer is the reference, byte for byte but for white space around it.
    package var isExact: Bool
    /// They are equal without case, punctuation, articles and white space.
    package var isMatch: Bool
    /// The normalised reference stands in the answer.
    package var isContained: Bool
    /// Of the normalised words they have in common.
    package var f1: Double

    /// The best over all references.
    package init(_ answer: String, references: [String]) {
        (isExact, isMatch, isContained, f1) = (false, false, false, 0)
        let found = Self.normalizedTokens(answer)
        for reference in references {
            let expected = Self.normalizedTokens(reference)
            isExact = isExact || answer.trimmed == reference.trimmed
            isMatch = isMatch || found == expected
            isContained = isContained || Self.contains(found, expected)
            f1 = max(f1, Self.f1(found, expected))
        }
    }

    /// The words of SQuAD's `normalize_answer`: lower case, ASCII punctuation removed, the words a, an, the removed.
    package static func normalizedTokens(_ text: String) -> [String] {
        let kept = String(
            String.UnicodeScalarView(
                text.lowercased().unicodeScalars.filter { !isPunctuation($0) }))
        var (result, word) = ("", "")
        func endWord() {
            result += ["a", "an", "the"].contains(word) ? " " : word
            word = ""
        }
        for character in kept {
            if character.isLetter || character.isNumber || character == "_" {
                word.append(character)
            } else {
                endWord()
                result.append(character)
            }
        }
        endWord()
        return result.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "!"..."/", ":"..."@", "["..."`", "{"..."~": true
        default: false
        }
    }

    private static func f1(_ found: [String], _ expected: [String]) -> Double {
        guard !found.isEmpty, !expected.isEmpty else { return found == expected ? 1 : 0 }
        var left = Dictionary(expected.map { ($0, 1) }, uniquingKeysWith: +)
        var common = 0
        for token in found where left[token, default: 0] > 0 {
            left[token, default: 0] -= 1
            common += 1
        }
        guard common > 0 else { return 0 }
        let precision = Double(common) / Double(found.count)
        let recall = Double(common) / Double(expected.count)
        return 2 * precision * recall / (precision + recall)
    }

    private static func contains(_ words: [String], _ part: [String]) -> Bool {
        guard !part.isEmpty, words.count >= part.count else { return false }
        return (0...words.count - part.count).contains {
            words[$0..<$0 + part.count].elementsEqual(part)
        }
    }

    /// What an output gives as its answer: what stands behind the last "Answer:" of its final text, or all of that.
    package static func extract(_ output: String, isThinking: Bool = false) -> String? {
        guard let text = FinalText.of(output, isThinking: isThinking) else { return nil }
        for line in text.split(whereSeparator: \.isNewline).reversed() {
            let line = String(line.filter { $0 != "*" })
            for cue in ["Answer:", "answer:", "ANSWER:"] {
                if let range = line[...].range(ofLast: cue) {
                    let rest = String(line[range.upperBound...]).trimmed
                    if !rest.isEmpty { return rest }
                }
            }
        }
        return text
    }
}
