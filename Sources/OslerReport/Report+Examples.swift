internal import OslerFormats

extension Report {
    /// Of each kind; the others are counted.
    private static let mostExamples = 12

    /// Questions on which the models differ, side by side with their reasoning.
    var examples: HTML {
        func correct(_ item: JSON, _ side: String) -> Bool? { item[side]?["correct"]?.bool }
        let won = run.items.filter { correct($0, "tuned") == true && correct($0, "base") == false }
        let lost = run.items.filter { correct($0, "tuned") == false && correct($0, "base") == true }
        guard !won.isEmpty || !lost.isEmpty else { return "" }
        return section(
            "Won and lost",
            "\(list("Won: right only after training", won))\(list("Lost: right only before training", lost))"
        )
    }

    private func list(_ title: String, _ items: [JSON]) -> HTML {
        guard !items.isEmpty else { return "<h3>\(title)</h3><p class=\"soft\">none</p>" }
        let shown = items.prefix(Self.mostExamples).enumerated().map { place, item in
            example(item, isOpen: place == 0)
        }
        let rest = items.count - shown.count
        let more: HTML =
            rest > 0
            ? "<p class=\"soft\">\(Figures.count(rest)) more in evaluation/items.jsonl</p>" : ""
        return "<h3>\(title) (\(Figures.count(items.count)))</h3>\(shown)\(more)"
    }

    private func example(_ item: JSON, isOpen: Bool) -> HTML {
        let question = item["question"]?.string ?? ""
        let first = question.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        let short = first.count > 110 ? first.prefix(110) + "\u{2026}" : first[...]
        let options: [HTML] = (item["options"]?.object?.pairs ?? []).map { letter, option in
            "<div>\(letter). \(option.string ?? "")</div>"
        }
        let reference = item["reference"].flatMap(text) ?? "–"
        return """
            <details\(isOpen ? " open" : "" as HTML)><summary>\(item["task"]?.string ?? "") \(item["id"].flatMap(text) ?? ""): \
            \(String(short))</summary>
            <div class="question" dir="auto">\(question)\(options.isEmpty ? "" : "<div style=\"margin-top:8px\">\(options)</div>" as HTML)</div>
            <p><b>Reference:</b> \(reference)</p>
            <div class="sides">\(side("Base", item["base"]))\(side("Tuned", item["tuned"]))</div></details>
            """
    }

    private func side(_ name: String, _ side: JSON?) -> HTML {
        let isCorrect = side?["correct"]?.bool ?? false
        let mark: HTML =
            isCorrect
            ? "<span class=\"badge good\">right</span>" : "<span class=\"badge bad\">wrong</span>"
        let (reasoning, answer) = Self.parts(side?["output"]?.string ?? "")
        let thought: HTML =
            reasoning.isEmpty ? "" : "<div class=\"reasoning\" dir=\"auto\">\(reasoning)</div>"
        let said: HTML =
            answer.isEmpty
            ? "<p class=\"soft\">nothing after the thinking</p>"
            : "<div class=\"answer\" dir=\"auto\">\(answer)</div>"
        let given = side?["answer"].flatMap(text) ?? "none"
        return """
            <div class="side"><h4>\(name): \(given)\(mark)</h4>\(thought)\
            \(said)</div>
            """
    }

    /// What stands between the marks of thinking, and what comes after. Where thinking has no end there is no answer.
    static func parts(_ output: String) -> (reasoning: String, answer: String) {
        func trimmed(_ text: Substring) -> String {
            let start = text.drop(while: \.isWhitespace)
            return String(start.reversed().drop(while: \.isWhitespace).reversed())
        }
        var rest = output[...]
        let begins = rest.drop(while: \.isWhitespace).hasPrefix("<think>")
        if begins, let range = rest.firstRange(of: "<think>") { rest = rest[range.upperBound...] }
        guard let end = rest.firstRange(of: "</think>") else {
            return begins ? (trimmed(rest), "") : ("", trimmed(rest))
        }
        return (trimmed(rest[..<end.lowerBound]), trimmed(rest[end.upperBound...]))
    }
}
