internal import OslerFormats

/// What a person who answers for medical records wants to know of them before a model learns them: who may be
/// recognised, what stands there twice in other words, and what contradicts itself. Rows are named, values never shown.
package struct DataCare: Sendable {
    /// Where an identifier may stand.
    package struct Place: Sendable, Equatable {
        package var row: Int
        /// The role of the message, or the column: `user`, `assistant`, `prompt`.
        package var part: String
        /// Counted in characters (Unicode scalars) from 0.
        package var character: Int
    }

    package struct Flaw: Sendable, Equatable {
        package enum Kind: String, Sendable, CaseIterable {
            case emptyReasoning = "empty_reasoning"
            case emptyResponse = "empty_response"
            case otherLanguage = "other_language"
            case contradictsOptions = "contradicts_options"
        }
        package var kind: Kind
        package var row: Int
        /// For people; without values of the row.
        package var text: String
    }

    package struct Split: Sendable {
        package var name: String
        package var file: String
        package var identifiers: [HealthIdentifier: [Place]]
        package var languages: [String: Int]
        package var flaws: [Flaw]
    }

    package var splits: [Split]
    package var nearDuplicates: [NearDuplicates.Pair]

    package init(_ prepared: [PreparedDataset], threads: Int) throws {
        nearDuplicates = try NearDuplicates.find(prepared, threads: threads)
        splits = []
        // Of the training data, which comes first, so that a small split is held against it.
        var usual: String?
        for split in prepared {
            let found = try parallelMap(count: split.records.count, threads: threads) { index in
                RowCare(split.records[index], row: split.rows[index])
            }
            var languages: [String: Int] = [:]
            for language in found.compactMap(\.language) { languages[language, default: 0] += 1 }
            usual = usual ?? languages.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
            let thinks = found.count { $0.hasReasoning } * 2 > found.count
            var flaws = found.flatMap { $0.flaws(usualLanguage: usual, thinks: thinks) }
            flaws += split.optionConflicts.map {
                Flaw(kind: .contradictsOptions, row: $0.row, text: $0.problem)
            }
            splits.append(
                Split(
                    name: split.name, file: split.file,
                    identifiers: Dictionary(grouping: found.flatMap(\.identifiers)) { $0.0 }
                        .mapValues { $0.map(\.1) },
                    languages: languages, flaws: flaws))
        }
    }

    /// Places of identifiers in all splits.
    package var identifierCount: Int {
        splits.reduce(0) { $0 + $1.identifiers.values.reduce(0) { $0 + $1.count } }
    }
}

/// What was found in one row.
private struct RowCare: Sendable {
    let row: Int
    let identifiers: [(HealthIdentifier, DataCare.Place)]
    let language: String?
    /// What stands in `<think>` tags of the last answer, and behind them; nil without an answer.
    private let reasoning: Substring?
    private let response: Substring?

    var hasReasoning: Bool { reasoning != nil }

    init(_ record: Record, row: Int) {
        self.row = row
        let parts = record.careTexts
        identifiers = parts.flatMap { part in
            HealthIdentifier.matches(in: part.text).map { match in
                let before = part.text.utf8.prefix(match.range.lowerBound)
                return (
                    match.kind,
                    DataCare.Place(
                        row: row, part: part.place,
                        character: before.count { $0 & 0xC0 != 0x80 })
                )
            }
        }
        language = TextLanguage.guess(parts.map(\.text).joined(separator: "\n"))
        let answer = record.answerText
        let start = answer?.firstRange(of: "<think>"), end = answer?.firstRange(of: "</think>")
        if let answer, let start, let end, start.upperBound <= end.lowerBound {
            (reasoning, response) = (
                answer[start.upperBound..<end.lowerBound], answer[end.upperBound...]
            )
        } else {
            (reasoning, response) = (nil, answer.map { $0[...] })
        }
    }

    /// - Parameter thinks: whether most rows have reasoning, so that one without is a flaw.
    func flaws(usualLanguage: String?, thinks: Bool) -> [DataCare.Flaw] {
        var flaws: [DataCare.Flaw] = []
        func add(_ kind: DataCare.Flaw.Kind, _ text: String) {
            flaws.append(DataCare.Flaw(kind: kind, row: row, text: text))
        }
        if let language, let usualLanguage, language != usualLanguage {
            add(.otherLanguage, "reads as \(language), most rows as \(usualLanguage)")
        }
        if thinks, response != nil, reasoning?.allSatisfy(\.isWhitespace) ?? true {
            add(.emptyReasoning, "no reasoning between <think> and </think>")
        }
        if let response, response.allSatisfy(\.isWhitespace) {
            add(.emptyResponse, "no answer\(reasoning == nil ? "" : " behind the reasoning")")
        }
        return flaws
    }
}

extension Record {
    /// The last thing that the model is to say.
    var answerText: String? {
        careTexts.last { $0.place == "assistant" || $0.place == "completion" }?.text
    }

    /// The texts of a row with the place where each stands; system prompts, which rows share, are left out.
    var careTexts: [(place: String, text: String)] {
        func texts(_ messages: [JSON]) -> [(place: String, text: String)] {
            messages.compactMap { message in
                guard let role = message["role"]?.string, role != "system",
                    let content = message["content"]?.string
                else { return nil }
                return (role, content)
            }
        }
        return switch self {
        case .messages(let messages): texts(messages)
        case .promptCompletion(let prompt, let completion): texts(prompt + completion)
        case .plainPromptCompletion(let prompt, let completion):
            [("prompt", prompt), ("completion", completion)]
        case .text(let text): [("text", text)]
        case .tokens: []
        }
    }
}
