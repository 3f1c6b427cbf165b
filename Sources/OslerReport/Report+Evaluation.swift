internal import OslerFormats

extension Report {
    /// Base and tuned on the same questions.
    var evaluation: HTML {
        let tasks = run.comparison?["tasks"]?.array ?? []
        guard !tasks.isEmpty else { return "" }
        let parts: [HTML] = tasks.map { task in
            let sources = task["per_source"]?.array ?? []
            let bySource: HTML =
                sources.count > 1
                ? "<details><summary>\(task["name"]?.string ?? ""): by source</summary>\(comparison(sources, "source"))</details>"
                : ""
            return "\(bySource)\(contamination(task))"
        }
        let note: HTML =
            "<p class=\"soft\">Intervals are 95 %; base above, tuned below, on a line from 0 to 100 %. Won: only the tuned model was right; lost: only the base was. McNemar's p is how often chance alone gives such a difference.</p>"
        return section("Evaluation", "\(comparison(tasks, "name"))\(note)\(parts)")
    }

    private func comparison(_ rows: [JSON], _ name: String) -> HTML {
        table(
            [
                name == "name" ? "Task" : "Source", "Questions", "Base", "Tuned", "Intervals",
                "Difference, points", "McNemar p", "Won", "Lost",
            ],
            rows.map { row in
                [
                    "\(row[name]?.string ?? "")", text(row["count"]) ?? "–",
                    accuracy(row["base"]), accuracy(row["tuned"]), intervals(row),
                    difference(row), p(row["mcnemar_p"]), text(row["won"]) ?? "–",
                    text(row["lost"]) ?? "–",
                ]
            }, texts: [4])
    }

    private func p(_ value: JSON?) -> HTML {
        guard let value = value?.double else { return "–" }
        return value < 0.0001 ? "&lt; 0.0001" : "\(Figures.fixed(value, 4))"
    }

    private func accuracy(_ side: JSON?) -> HTML {
        guard let accuracy = side?["accuracy"]?.double else { return "–" }
        guard let low = side?["low"]?.double, let high = side?["high"]?.double else {
            return "\(Figures.percent(accuracy))"
        }
        return """
            \(Figures.percent(accuracy))<div class="soft">\(Figures.fixed(low * 100, 1))–\(Figures.fixed(high * 100, 1))</div>
            """
    }

    private func difference(_ row: JSON) -> HTML {
        guard let difference = row["difference"]?.double else { return "–" }
        var range: HTML = ""
        var kind = ""
        if let low = row["difference_low"]?.double, let high = row["difference_high"]?.double {
            range = "<div class=\"soft\">\(Figures.points(low)) to \(Figures.points(high))</div>"
            // Where the interval holds zero, nothing is claimed.
            kind = low > 0 ? "good-text" : high < 0 ? "bad-text" : ""
        }
        return "<span class=\"\(kind)\">\(Figures.points(difference))</span>\(range)"
    }

    /// Both accuracies with their intervals, on a line from 0 to 1.
    private func intervals(_ row: JSON) -> HTML {
        func drawn(_ side: JSON?, _ y: Int, _ color: Int) -> HTML {
            guard let accuracy = side?["accuracy"]?.double else { return "" }
            func x(_ share: Double) -> String { Figures.fixed(5 + 170 * min(max(share, 0), 1), 1) }
            let low = side?["low"]?.double ?? accuracy
            let high = side?["high"]?.double ?? accuracy
            return """
                <g class="s\(color)"><line x1="\(x(low))" x2="\(x(high))" y1="\(y)" y2="\(y)"/>\
                <circle cx="\(x(accuracy))" cy="\(y)" r="4.5"/></g>
                """
        }
        return """
            <svg class="interval" viewBox="0 0 180 34" role="img" aria-label="base above, tuned below, from 0 to 100 %">\
            <line class="grid" x1="5" x2="175" y1="32" y2="32"/>\(drawn(row["base"], 9, 0))\(drawn(row["tuned"], 23, 1))</svg>
            """
    }

    private func contamination(_ task: JSON) -> HTML {
        guard let found = task["contamination"], let count = found["count"]?.integer else {
            return ""
        }
        let name = task["name"]?.string ?? ""
        guard count > 0 else {
            return "<p class=\"soft\">\(name): no question stands in the training data.</p>"
        }
        let base = found["without"]?["base"]?["accuracy"]?.double.map(Figures.percent) ?? "–"
        let tuned = found["without"]?["tuned"]?["accuracy"]?.double.map(Figures.percent) ?? "–"
        return """
            <p><span class="bad-text">\(name): \(Figures.count(count)) questions stand in the training data.</span> \
            Without them: base \(base), tuned \(tuned).</p>
            """
    }
}
