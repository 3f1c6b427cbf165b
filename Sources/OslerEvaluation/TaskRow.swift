internal import OslerFormats

/// The columns of one row of a task.
struct TaskRow {
    static let idColumns = ["id", "qid", "pubid", "pmid", "question_id"]
    private static let letters = (UInt8(ascii: "A")...UInt8(ascii: "Z")).map {
        String(Unicode.Scalar($0))
    }

    let row: JSON.Object
    let file: String
    let place: String
    /// MedMCQA's `cop` counts from 1.
    let startsAtOne: Bool

    func fault(_ problem: String, remedy: String? = nil) -> InputError {
        InputError(problem, file: file, field: place, remedy: remedy)
    }

    /// The first of `columns` that has a text in it.
    func text(_ columns: [String]) -> String? {
        columns.lazy.compactMap { row[$0]?.scalarText }.first { !$0.trimmed.isEmpty }
    }

    /// - Parameter prefersOpen: `Question` is a question without options, `question` one with them.
    func question(prefersOpen: Bool) throws -> String {
        let names = ["question", "QUESTION", "prompt", "input", "sent1"]
        let open = ["Question", "Open-ended Verifiable Question"]
        guard let text = text(prefersOpen ? open + names : names + open) else {
            throw fault("has no question", remedy: "put it into a column 'question'")
        }
        return text
    }

    var context: String? {
        for name in ["context", "CONTEXTS", "contexts", "abstract"] {
            guard let value = row[name] else { continue }
            if let text = value.string, !text.trimmed.isEmpty { return text }
            if let parts = (value.array ?? value["contexts"]?.array)?.compactMap(\.string) {
                return parts.joined(separator: "\n")
            }
        }
        return nil
    }

    var demonstration: EvaluationItem.Demonstration? {
        guard let question = row["Question"]?.string, let reasoning = row["Complex_CoT"]?.string,
            let response = row["Response"]?.string
        else { return nil }
        return .init(question: question, reasoning: reasoning, response: response)
    }

    func openAnswers() throws -> [String] {
        for name in ["Ground-True Answer", "answer", "answers", "target", "Response", "output"] {
            guard let value = row[name] else { continue }
            let list = value.array ?? value["text"]?.array ?? [value]
            let texts = list.compactMap(\.scalarText).filter { !$0.trimmed.isEmpty }
            if !texts.isEmpty { return texts }
        }
        throw fault("has no answer", remedy: "put it into a column 'answer'")
    }

    func choice() throws -> EvaluationItem.Reference {
        let options = try options()
        guard options.count > 1 else {
            throw fault("has \(options.count) option, a choice needs two")
        }
        guard options.allSatisfy({ !$0.text.trimmed.isEmpty }) else {
            throw fault("has an option without text")
        }
        return .choice(options: options, answer: try answer(options))
    }

    private func options() throws -> [EvaluationItem.Option] {
        if let options = try ["options", "choices"].lazy.compactMap({ name in
            try row[name].map { try self.options($0, name) }
        }).first {
            return options
        }
        let columns = ["opa", "opb", "opc", "opd", "ope"].filter { row[$0] != nil }
        if !columns.isEmpty {
            return try lettered(columns.map { try optionText(row[$0] ?? .null, $0) })
        }
        if row["final_decision"] != nil { return try lettered(["yes", "no", "maybe"]) }
        throw fault("has no options", remedy: "put them into a column 'options'")
    }

    private func options(_ value: JSON, _ name: String) throws -> [EvaluationItem.Option] {
        if let text = value.string {
            guard let parsed = (try? JSON.parse(text)) ?? PythonLiteral.parse(text),
                parsed.string == nil
            else { throw fault("'\(name)' is neither a mapping nor a list of options") }
            return try options(parsed, name)
        }
        // MMLU-like: {"text": [...], "label": [...]}.
        if let texts = value["text"]?.array { return try options(.array(texts), name) }
        if let object = value.object {
            let texts = try object.pairs.map { try optionText($0.value, "\(name).\($0.key)") }
            let keys = object.keys.map { $0.trimmed.uppercased() }
            guard keys.allSatisfy(Self.letters.contains), Set(keys).count == keys.count else {
                return try lettered(texts)
            }
            return zip(keys, texts).map { .init($0, $1) }
        }
        guard let list = value.array else {
            throw fault("'\(name)' is neither a mapping nor a list of options")
        }
        return try lettered(
            try list.map { try optionText($0["value"] ?? $0["text"] ?? $0, name) })
    }

    private func optionText(_ value: JSON, _ name: String) throws -> String {
        guard let text = value.scalarText else { throw fault("'\(name)' holds no text") }
        return text
    }

    private func lettered(_ texts: [String]) throws -> [EvaluationItem.Option] {
        guard texts.count <= Self.letters.count else {
            throw fault("has \(texts.count) options, at most 26 can be lettered")
        }
        return zip(Self.letters, texts).map { .init($0, $1) }
    }

    /// The place of the right option.
    private func answer(_ options: [EvaluationItem.Option]) throws -> Int {
        let names = [
            "answer_idx", "answer_index", "cop", "final_decision", "label", "answer", "answerKey",
        ]
        guard let name = names.first(where: { row[$0]?.scalarText?.trimmed.isEmpty == false }),
            let given = row[name]?.scalarText?.trimmed
        else { throw fault("has no answer", remedy: "name the right option in 'answer_idx'") }
        if name != "cop", let place = options.firstIndex(where: { $0.letter == given }) {
            return place
        }
        if let number = Int(given), !options.contains(where: { $0.text == given }) {
            let first = name == "cop" && startsAtOne ? 1 : 0
            guard options.indices.contains(number - first) else {
                throw fault(
                    "'\(name)' is \(number), out of range: \(options.count) options, counted from \(first)"
                )
            }
            return number - first
        }
        let equal = options.indices.filter {
            options[$0].text.trimmed.lowercased() == given.lowercased()
        }
        if equal.count == 1 { return equal[0] }
        if let place = options.firstIndex(where: { $0.letter == given.uppercased() }) {
            return place
        }
        throw fault(
            "'\(name)' is \"\(given)\", none of the \(options.count) options",
            remedy: "give the letter, the place from 0 or the option's text")
    }
}

extension JSON {
    /// A text or a number, as text.
    var scalarText: String? {
        switch self {
        case .string(let text): text
        case .integer(let number): String(number)
        case .number(let number): Int(exactly: number).map { "\($0)" } ?? "\(number)"
        default: nil
        }
    }

    /// A whole number, also in text.
    var wholeNumber: Int? { integer ?? string.flatMap { Int($0.trimmed) } }
}
