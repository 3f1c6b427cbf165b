package import OslerFormats

/// One task's items with what each side made of them.
package struct GradedItem: Sendable {
    package var item: EvaluationItem
    package var base: ItemResult?
    package var tuned: ItemResult?
    package var contamination: Contamination.Finding?

    package init(
        item: EvaluationItem, base: ItemResult?, tuned: ItemResult?,
        contamination: Contamination.Finding? = nil
    ) {
        (self.item, self.base, self.tuned) = (item, base, tuned)
        self.contamination = contamination
    }
}

/// Both sides on the same items, and what their difference is worth.
package struct PairedSummary: Sendable {
    package let count: Int
    package let base: SideSummary?
    package let tuned: SideSummary?
    /// Only where both sides were evaluated.
    package let paired: Paired?

    package struct Paired: Sendable, Equatable {
        /// Accuracy of the tuned model less that of the base.
        package var difference: Double
        package var interval: Interval
        package var mcnemar: Double
        /// Items that only the tuned model got right, and only the base.
        package var won: Int
        package var lost: Int
    }

    package init(_ items: [GradedItem]) {
        count = items.count
        let (base, tuned) = (items.compactMap(\.base), items.compactMap(\.tuned))
        self.base = base.isEmpty ? nil : SideSummary(base)
        self.tuned = tuned.isEmpty ? nil : SideSummary(tuned)
        let differences = items.compactMap { item -> Double? in
            guard let base = item.base, let tuned = item.tuned else { return nil }
            return (tuned.isCorrect ? 1 : 0) - (base.isCorrect ? 1 : 0)
        }
        guard !differences.isEmpty else {
            paired = nil
            return
        }
        let (won, lost) = (differences.count { $0 > 0 }, differences.count { $0 < 0 })
        paired = Paired(
            difference: differences.reduce(0, +) / Double(differences.count),
            interval: Statistics.bootstrap(differences),
            mcnemar: Statistics.mcnemar(won: won, lost: lost), won: won, lost: lost)
    }

    /// `difference` and what belongs to it are null where only one side was evaluated.
    var fields: JSON.Object {
        func number(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
        return [
            "count": .integer(count), "base": base?.json ?? .null, "tuned": tuned?.json ?? .null,
            "difference": number(paired?.difference),
            "difference_low": number(paired?.interval.low),
            "difference_high": number(paired?.interval.high),
            "mcnemar_p": number(paired?.mcnemar),
            "won": paired.map { .integer($0.won) } ?? .null,
            "lost": paired.map { .integer($0.lost) } ?? .null,
        ]
    }
}

/// The comparison on one task: as a whole, by source, and without items that stand in the training data.
package struct TaskComparison: Sendable {
    package let name: String
    package let method: EvaluationSettings.Method
    package let items: [GradedItem]
    package let all: PairedSummary
    package let sources: [(name: String, summary: PairedSummary)]
    /// nil where no training data was given.
    package let withoutContaminated: PairedSummary?

    package init(name: String, method: EvaluationSettings.Method, items: [GradedItem]) {
        (self.name, self.method, self.items) = (name, method, items)
        all = PairedSummary(items)
        var names: [String] = []
        for item in items {
            if let source = item.item.source, !names.contains(source) { names.append(source) }
        }
        sources = names.map { name in
            (name, PairedSummary(items.filter { $0.item.source == name }))
        }
        withoutContaminated =
            items.contains { $0.contamination != nil }
            ? PairedSummary(items.filter { $0.contamination?.isSetApart != true }) : nil
    }

    package var contaminated: [GradedItem] {
        items.filter { $0.contamination?.isSetApart == true }
    }

    package var json: JSON {
        var object: JSON.Object = ["name": .string(name)]
        for (key, value) in all.fields.pairs {
            object[key] = value
            if key == "count" { object["method"] = .string(method.rawValue) }
        }
        object["per_source"] = .array(
            sources.map { source in
                var fields: JSON.Object = ["source": .string(source.name)]
                for (key, value) in source.summary.fields.pairs { fields[key] = value }
                return .object(fields)
            })
        guard let withoutContaminated else {
            object["contamination"] = .null
            return .object(object)
        }
        object["contamination"] = [
            "count": .integer(contaminated.count),
            "items": .array(
                contaminated.map { item in
                    [
                        "id": .string(item.item.id),
                        "whole_text": .bool(item.contamination?.isWholeText ?? false),
                        "share": .number(item.contamination?.share ?? 0),
                    ]
                }),
            "without": .object(withoutContaminated.fields),
        ]
        return .object(object)
    }
}

extension GradedItem {
    /// A line of `items.jsonl`.
    package var json: JSON {
        func side(_ result: ItemResult?) -> JSON {
            guard let result else { return .null }
            var object: JSON.Object = [
                "output": .string(result.output),
                "answer": result.answer.map { .string($0) } ?? .null,
                "correct": .bool(result.isCorrect), "truncated": .bool(result.truncated > 0),
                "tokens": .integer(result.tokens),
                "thinking_tokens": .integer(result.thinkingTokens),
            ]
            if let open = result.open { object["f1"] = .number(open.f1) }
            if let values = result.logLikelihoods {
                object["loglikelihoods"] = .array(values.map { .number($0) })
                object["correct_norm"] = .bool(result.isCorrectPerCharacter)
                object["correct_bytes"] = .bool(result.isCorrectPerByte)
            }
            return .object(object)
        }
        var object: JSON.Object = ["task": .string(item.task), "id": .string(item.id)]
        if let source = item.source { object["source"] = .string(source) }
        object["question"] = .string(item.question)
        if case .choice(let options, _) = item.reference {
            object["options"] = .object(JSON.Object(options.map { ($0.letter, .string($0.text)) }))
        }
        object["reference"] = .string(item.referenceText)
        object["base"] = side(base)
        object["tuned"] = side(tuned)
        if let contamination {
            object["in_training_data"] = .bool(contamination.isSetApart)
        }
        return .object(object)
    }
}
