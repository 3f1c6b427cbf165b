extension PreflightReport {
    /// The report for people, line by line.
    package func text(colour: Bool) -> String {
        var lines: [String] = []
        for split in splits { lines += split.lines }
        if let care { lines += care.lines() }
        if let sample {
            let key =
                colour ? "green is in the loss" : "\u{27E6}...\u{27E7} is in the loss"
            lines += ["sample: row \(sample.row), \(key)", sample.text(colour: colour), ""]
        }
        for warning in warnings { lines.append("warning: \(warning)") }
        for failure in failures { lines.append("error: \(failure)") }
        lines.append(
            failures.isEmpty
                ? "preflight passed"
                : "preflight failed: \(failures.count) \(failures.count == 1 ? "error" : "errors")")
        return lines.joined(separator: "\n") + "\n"
    }
}

extension SplitReport {
    fileprivate var lines: [String] {
        var lines = ["\(name): \(rowCount) rows of \(file) (\(schema.rawValue))"]
        let packs = units == keptRows ? "" : " in \(units) packs"
        lines.append(
            "  \(keptRows) rows left\(packs), \(tokenCount) tokens, "
                + "\(targetCount) in the loss (\(percent(targetShare)))")
        lines.append(
            "  tokens a row: shortest \(histogram.shortest), median \(histogram.median), "
                + "95% up to \(histogram.percentile95), longest \(histogram.longest)")
        lines += histogram.lines(limit: length.maxLength)
        if let limit = length.maxLength {
            let isOver = length.tooLong.count
            lines.append(
                "  longer than max_length \(limit): \(isOver) rows (\(percent(share(isOver))))"
                    + "; length_policy \(length.policy.rawValue)\(length.isExplicit ? "" : " (default)")"
            )
            if isOver > 0 { lines += effects.map(effectLine) }
        }
        if !length.emptied.isEmpty {
            lines.append("  \(length.emptied.count) rows left out: the cut took all their labels")
        }
        lines.append("  proofs: " + proofLine)
        return lines + [""]
    }

    private func effectLine(_ effect: PolicyEffect) -> String {
        switch effect.policy {
        case .drop:
            "    drop would leave out \(effect.rows) rows, \(effect.lostTokens) tokens"
        case .error: "    error would stop"
        case .truncate:
            "    truncate would cut \(effect.lostTokens) tokens, the answer's end and its end of "
                + "turn among them; \(effect.emptied) rows would have no label left"
        }
    }

    private var proofLine: String {
        let names: [(ProofFailure.Kind, String)] = [
            (.assistantText, "assistant text survives"), (.promptPrefix, "prompt is a prefix"),
            (.beginning, "BOS once"), (.ending, "end of turn in the loss"),
        ]
        return names.map { kind, name in
            let broken = brokenProofs.first { $0.first.kind == kind }?.count
            return broken.map { "\(name): NO (\($0) rows)" } ?? "\(name): yes"
        }.joined(separator: ", ")
    }

    private func share(_ rows: Int) -> Double {
        rowCount == 0 ? 0 : Double(rows) / Double(rowCount)
    }

    private func percent(_ share: Double) -> String {
        let tenths = Int((share * 1000).rounded())
        return "\(tenths / 10).\(tenths % 10)%"
    }
}
