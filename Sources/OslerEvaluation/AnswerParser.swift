internal import OslerFormats

/// Which option an answer names. Strict: what could be read in two ways is not read.
///
/// Only what comes after the reasoning counts: after the last `</think>`, and after the last heading "Final Response". The
/// first of these rules that finds something decides:
///
/// 1. **Statements**: "the answer is B", "Answer: (B)", "the correct option is B", "I choose B", "B is correct",
///    `\boxed{B}`. The last one counts. What it names may be an option's text. Two letters in one ("A or B"), or a letter
///    with another option's text ("B. <text of C>"), contradict each other: unparsed.
/// 2. **Lines**: "B", "**B**", "B)", "B. text", or a line that is an option's text. All such lines must agree.
/// 3. **Marks**: "(B)", "**B**", "option B" anywhere, but not "option B is incorrect". All must agree.
/// 4. **Texts**: exactly one option's text stands in the answer.
///
/// A bare letter is a capital, and a word of its own: "a" and "A patient" are articles, "B cells" and "C. difficile" aren't
/// options, unless the option's own text goes on like that.
package struct AnswerParser {
    package enum Rule: String, Sendable {
        case statement, line, mark, text
    }

    package enum Result: Sendable, Equatable {
        /// The option's place.
        case answer(Int, Rule)
        case contradictory(Rule)
        case nothing

        package var option: Int? { if case .answer(let place, _) = self { place } else { nil } }
    }

    /// What one place of the text says.
    enum Reading: Equatable {
        case option(Int)
        case several
    }

    let options: [EvaluationItem.Option]
    /// The words of each option.
    let optionWords: [[String]]
    var tokens: [AnswerToken] = []

    package init(_ options: [EvaluationItem.Option]) {
        self.options = options
        optionWords = options.map { normalizedWords($0.text) }
    }

    /// - Parameter isThinking: the prompt ends inside the reasoning.
    package func parse(_ output: String, isThinking: Bool = false) -> Result {
        guard let text = FinalText.of(output, isThinking: isThinking) else { return .nothing }
        var parser = self
        parser.tokens = AnswerToken.tokens(text)
        return parser.result()
    }

    private func result() -> Result {
        if let last = statements().last { return result([last], .statement) }
        for (readings, rule) in [(lines(), Rule.line), (marks(), .mark), (texts(), .text)]
        where !readings.isEmpty {
            return result(readings, rule)
        }
        return .nothing
    }

    private func result(_ readings: [Reading], _ rule: Rule) -> Result {
        guard case .option(let place) = readings[0], readings.allSatisfy({ $0 == readings[0] })
        else { return .contradictory(rule) }
        return .answer(place, rule)
    }
}

/// What an answer says after its reasoning.
package enum FinalText {
    /// nil when the reasoning doesn't end.
    package static func of(_ output: String, isThinking: Bool = false) -> String? {
        var text = output[...]
        if let end = text.range(ofLast: "</think>") {
            text = text[end.upperBound...]
            if text.range(ofLast: "<think>") != nil { return nil }
        } else if isThinking || text.range(ofLast: "<think>") != nil {
            return nil
        }
        if let heading = text.range(ofLast: "Final Response") { text = text[heading.upperBound...] }
        return String(text).trimmed
    }
}

extension Substring {
    /// Where `part` stands last, by its UTF-8.
    func range(ofLast part: String) -> Range<Index>? {
        let (bytes, part) = (utf8, Array(part.utf8))
        var start = bytes.endIndex
        while start > bytes.startIndex {
            start = bytes.index(before: start)
            guard bytes[start] == part[0], bytes[start...].starts(with: part) else { continue }
            return start..<bytes.index(start, offsetBy: part.count)
        }
        return nil
    }
}
