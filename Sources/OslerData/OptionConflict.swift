package import OslerFormats

/// A row of multiple choice that contradicts itself: columns `options` (letters to texts, or a list), `answer_idx` and
/// `answer`, as MedQA has them, beside what is trained on.
package struct OptionConflict: Sendable, Equatable {
    package var row: Int
    /// For people; names letters, no texts.
    package var problem: String

    /// Nil where the row has no options, or they agree.
    init?(_ columns: JSON.Object, response: @autoclosure () -> String?, row: Int) {
        guard let options = Self.options(columns["options"]), !options.isEmpty,
            let problem = Self.problem(columns, options, response())
        else { return nil }
        (self.row, self.problem) = (row, problem)
    }

    private static func options(_ value: JSON?) -> [String: String]? {
        if let object = value?.object {
            return Dictionary(
                object.pairs.compactMap { pair in pair.value.string.map { (pair.key, $0) } },
                uniquingKeysWith: { first, _ in first })
        }
        return value?.array.map { list in
            Dictionary(
                zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", list).compactMap { letter, option in
                    option.string.map { (String(letter), $0) }
                }, uniquingKeysWith: { first, _ in first })
        }
    }

    private static func problem(
        _ columns: JSON.Object, _ options: [String: String], _ response: String?
    ) -> String? {
        var letter = columns["answer_idx"]?.string
        if letter == nil, let index = columns["answer_idx"]?.integer, (0..<26).contains(index) {
            letter = String(UnicodeScalar(UInt8(65 + index)))
        }
        guard let letter else { return nil }
        guard let right = options[letter] else {
            return "answer_idx is \(letter), which is none of the options"
        }
        if let answer = columns["answer"]?.string, normalized(answer) != normalized(right) {
            return "answer is not the text of option \(letter), which answer_idx names"
        }
        if let said = response.flatMap(statedLetter), said != letter, options[said] != nil {
            return "the response says \(said), answer_idx \(letter)"
        }
        return nil
    }

    private static func normalized(_ text: String) -> String {
        text.lowercased().split { !($0.isLetter || $0.isNumber) }.joined(separator: " ")
    }

    /// The letter of `answer is B`, `answer: (B)`, the last one said.
    private static func statedLetter(_ text: String) -> String? {
        let cues = ["answer is option ", "answer is ", "answer: "]
        var rest = text[...]
        var letter: String?
        while let range = rest.firstRange(of: "nswer") {
            let from = rest[rest.index(before: range.upperBound)...]
            rest = rest[range.upperBound...]
            // From the r of "answer" on.
            let tail = "answe" + from
            guard let cue = cues.first(where: { tail.hasPrefix($0) }) else { continue }
            var after = tail.dropFirst(cue.count).drop { "(*".contains($0) }
            guard let first = after.popFirst(), first.isASCII, first.isUppercase else { continue }
            if after.first.map({
                !$0.isLetter && !$0.isNumber && $0 != "'" && $0 != "-" && $0 != " "
            }) ?? true {
                letter = String(first)
            }
        }
        return letter
    }
}
