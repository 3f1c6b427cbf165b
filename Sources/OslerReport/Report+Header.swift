internal import OslerFormats

extension Report {
    /// Title, state, and the figures that one looks for first.
    var header: HTML {
        let data = (record["data"]?.array ?? []).compactMap { $0["path"]?.string }
            .map { FileSystem.name(of: $0) }.joined(separator: ", ")
        let base = record["base_model"]?["path"]?.string.map { FileSystem.name(of: $0) }
        let about = [
            base.map { "base: \($0)" }, data.isEmpty ? nil : "trained on \(data)",
            record["started"]?.string.map { "begun \($0)" },
        ].compactMap { $0 }.joined(separator: " \u{00B7} ")
        let error: HTML = record["error"]?.string.map { "<p class=\"bad-text\">\($0)</p>" } ?? ""
        return """
            <header><h1>\(title)\(badge)</h1><p class="soft">\(about)</p>\(error)
            <div class="tiles">\(tiles)</div></header>

            """
    }

    private var badge: HTML {
        switch record["status"]?.string {
        case "finished"?: "<span class=\"badge good\">finished</span>"
        case "stopped"?: "<span class=\"badge\">stopped</span>"
        case "failed"?: "<span class=\"badge bad\">failed</span>"
        // Nothing has said how it ended.
        case "running"?: "<span class=\"badge\">not ended, or killed</span>"
        default: ""
        }
    }

    private var tiles: [HTML] {
        var tiles: [(value: String, name: String)] = []
        func number(_ entry: JSON?, _ key: String) -> Double? {
            entry?[key]?.double.flatMap { $0.isFinite ? $0 : nil }
        }
        if let first = number(trainLog.first, "loss"), let last = number(trainLog.last, "loss") {
            tiles.append((arrow(first, last, 4), "training loss, first and last entry"))
        }
        let before = record["evaluation_before"]
        if let last = number(evaluationLog.last, "eval_nll") {
            let first =
                number(before, "eval_nll") ?? number(evaluationLog.first, "eval_nll") ?? last
            tiles.append((arrow(first, last, 4), "held-out loss per token (nll)"))
            if let perplexity = number(evaluationLog.last, "eval_perplexity") {
                tiles.append((Figures.fixed(perplexity, 2), "held-out perplexity"))
            }
        }
        if let step = run.log.last?["step"]?.integer {
            tiles.append((Figures.count(step), "steps"))
        }
        if let seconds = number(record["summary"], "train_runtime") {
            tiles.append((Figures.duration(seconds), "training time"))
        }
        let tokens = run.steps.compactMap { $0["tokens"]?.double }.reduce(0, +)
        let seconds = run.steps.compactMap { $0["seconds"]?.double }.reduce(0, +)
        if seconds > 0 { tiles.append((Figures.fixed(tokens / seconds, 0), "tokens a second")) }
        if let peak = number(record, "peak_bytes") {
            tiles.append((Figures.bytes(peak), "peak memory"))
        }
        return tiles.map { "<div class=\"tile\"><b>\($0.value)</b><span>\($0.name)</span></div>\n" }
    }

    private func arrow(_ first: Double, _ last: Double, _ digits: Int) -> String {
        first == last
            ? Figures.fixed(last, digits)
            : Figures.fixed(first, 3) + " \u{2192} " + Figures.fixed(last, 3)
    }
}
