internal import OslerFormats

extension Report {
    /// The plan beside what the run took.
    var memory: HTML {
        guard let plan = record["memory_plan"]?.object, let total = plan["total"]?.double, total > 0
        else { return "" }
        let counts = [
            "total", "recomputed_blocks", "streamed_blocks", "pinned_host_bytes", "devices",
        ]
        let items = plan.pairs.filter { !counts.contains($0.key) }
            .compactMap { item in item.value.double.map { (name: item.key, bytes: $0) } }
            .filter { $0.bytes > 0 }
        var rows: [[HTML]] = items.map { item in
            [
                "\(item.name)", "\(Figures.bytes(item.bytes))",
                "\(Figures.percent(item.bytes / total))",
            ]
        }
        rows.append(["<b>planned in all</b>", "<b>\(Figures.bytes(total))</b>", ""])
        var bars: HTML = ""
        if let peak = record["peak_bytes"]?.double, peak > 0 {
            rows.append([
                "<b>measured at the peak</b>", "<b>\(Figures.bytes(peak))</b>",
                "\(Figures.percent(peak / total))",
            ])
            let most = max(peak, total)
            func bar(_ name: String, _ bytes: Double, _ color: Int) -> HTML {
                let width = Figures.fixed(bytes / most * 100, 1)
                return """
                    <div class="soft">\(name): \(Figures.bytes(bytes))</div>\
                    <div class="bar"><i class="s\(color)" style="width:\(width)%"></i></div>
                    """
            }
            bars =
                "<div class=\"card\" style=\"padding:12px 16px;margin-bottom:12px\">\(bar("planned", total, 0))\(bar("measured", peak, 1))</div>"
        }
        let recomputed = plan["recomputed_blocks"]?.integer ?? 0
        let note: HTML =
            recomputed > 0
            ? "<p class=\"soft\">\(recomputed) blocks were computed again in backward.</p>" : ""
        return section(
            "Memory, planned and measured",
            "\(bars)\(table(["Part", "Bytes", "Share of the plan"], rows))\(note)")
    }

    /// The recipe as it was given.
    var configuration: HTML {
        guard let recipe = record["configuration"]?.object, !recipe.isEmpty else { return "" }
        let lines = recipe.pairs.map { key, value in
            key + ": " + (value.string ?? value.serialized(ensureASCII: false))
        }.joined(separator: "\n")
        return section(
            "Configuration",
            "<details><summary>\(recipe.count) keys of the recipe</summary><pre>\(lines)</pre></details>"
        )
    }
}
