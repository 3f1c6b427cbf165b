internal import OslerEvaluation
internal import OslerFormats

extension TaskComparison {
    /// The comparison for a reader.
    var table: String {
        var lines = ["\(name): \(all.count) items, \(method.rawValue)"]
        lines.append(Self.line("", Self.titles))
        lines.append(row("all", all))
        if !sources.isEmpty { lines += sources.map { row($0.name, $0.summary) } }
        if let withoutContaminated {
            lines.append(row("not in the training data", withoutContaminated))
        }
        for (label, side) in [("base", all.base), ("tuned", all.tuned)] {
            if let side { lines.append("  \(label): \(side.line)") }
        }
        if let paired = all.paired { lines.append("  " + paired.verdict) }
        if withoutContaminated != nil {
            let ids = contaminated.prefix(10).map(\.item.id).joined(separator: ", ")
            let more = contaminated.count > 10 ? ", ..." : ""
            lines.append(
                contaminated.isEmpty
                    ? "  no item stands in the training data"
                    : "  in the training data: \(contaminated.count) items (\(ids)\(more))")
        }
        return lines.joined(separator: "\n")
    }

    private static let titles = [
        "items", "base", "tuned", "difference", "95 %", "p", "won", "lost",
    ]
    private static let widths = [7, 22, 22, 12, 18, 8, 6, 6]

    private static func line(_ name: String, _ cells: [String]) -> String {
        let columns = zip(cells, widths).map { $0.leftPadded($1) }
        return "  " + name.rightPadded(28) + columns.joined()
    }

    private func row(_ name: String, _ summary: PairedSummary) -> String {
        var cells = [
            "\(summary.count)", summary.base?.cell ?? "-", summary.tuned?.cell ?? "-",
        ]
        cells += summary.paired?.cells ?? ["-", "-", "-", "-", "-"]
        return Self.line(name.count > 26 ? String(name.prefix(25)) + "." : name, cells)
    }
}

extension SideSummary {
    /// `61.2 % (54.0-67.9)`
    fileprivate var cell: String {
        "\(accuracy.percent) % (\(interval.low.percent)-\(interval.high.percent))"
    }

    /// `3 unparsed, 1 truncated (0.5 %), 412.0 tokens, of them 380.2 thinking`
    fileprivate var line: String {
        let object = json.object
        func number(_ key: String) -> Double? { object?[key]?.double }
        var parts: [String] = []
        if let norm = number("acc_norm"), let bytes = number("acc_bytes") {
            parts.append("acc_norm \(norm.percent) %, acc_bytes \(bytes.percent) %")
        } else {
            parts.append("\(unparsed) unparsed")
            parts.append("\(truncated) truncated (\(truncationRate.percent) %)")
            parts.append(
                "\(meanTokens.fixed(1)) tokens an answer, \(meanThinkingTokens.fixed(1)) of them thinking"
            )
        }
        if let f1 = number("f1"), let contained = number("contained"),
            let exact = number("exact_match")
        {
            parts.append(
                "exact \(exact.percent) %, contained \(contained.percent) %, F1 \(f1.percent) %")
        }
        if let perplexities {
            parts.append(
                "perplexity of reasoning \(perplexities.reasoning.fixed(3)), of responses \(perplexities.response.fixed(3))"
            )
        }
        return parts.joined(separator: ", ")
    }
}

extension PairedSummary.Paired {
    fileprivate var cells: [String] {
        let range = interval.low.points + " ... " + interval.high.points
        return [difference.points, range, mcnemar.fixed(4), "\(won)", "\(lost)"]
    }

    /// In a sentence, and no more than the numbers say.
    fileprivate var verdict: String {
        let change =
            "\(difference.points) points (95 %: \(interval.low.points) to \(interval.high.points)), "
            + "won \(won), lost \(lost), McNemar p \(mcnemar.fixed(4))"
        if mcnemar < 0.05 {
            return (difference > 0 ? "the tuned model is better: " : "the base is better: ")
                + change
        }
        return "no difference is shown: " + change
    }
}

extension Double {
    /// `61.2`
    fileprivate var percent: String { (self * 100).fixed(1) }
    /// `+3.5`
    fileprivate var points: String { (self > 0 ? "+" : "") + (self * 100).fixed(1) }
}
