internal import OslerFormats

extension Report {
    /// What preflight found.
    var data: HTML {
        guard let preflight = record["preflight"], let splits = preflight["splits"]?.array,
            !splits.isEmpty
        else { return "" }
        func count(_ json: JSON?) -> HTML { text(json) ?? "–" }
        let rows: [[HTML]] = splits.map { split in
            let lengths = split["lengths"]
            return [
                count(split["name"]), count(split["rows"]), count(split["rows_left"]),
                count(split["tokens"]), count(split["tokens_in_loss"]),
                "\(split["share_in_loss"]?.double.map(Figures.percent) ?? "–")",
                count(lengths?["median"]), count(lengths?["percentile_95"]),
                count(lengths?["longest"]),
            ]
        }
        let table = table(
            [
                "Part", "Rows", "Used", "Tokens", "In the loss", "Share", "Median length", "95 %",
                "Longest",
            ], rows)
        let notes = self.notes(preflight, splits).map { note -> HTML in "<li>\(note)</li>" }
        return section("Data", "\(table)<ul class=\"notes\">\(notes)</ul>")
    }

    private func notes(_ preflight: JSON, _ splits: [JSON]) -> [String] {
        var notes: [String] = []
        let broken = splits.flatMap { split -> [String] in
            (split["proofs"]?.object?.pairs ?? []).compactMap { name, proof in
                guard proof["holds"]?.bool == false else { return nil }
                let rows = proof["rows"]?.integer ?? 0
                return
                    "\(split["name"]?.string ?? ""): \(name) broken in \(Figures.count(rows)) rows"
            }
        }
        notes += broken
        if broken.isEmpty {
            notes.append(
                "All proofs hold: texts survive the template, the prompt is a prefix, the end mark is learned."
            )
        }
        for split in splits {
            guard let policy = split["length_policy"], let name = split["name"]?.string else {
                continue
            }
            let long = policy["too_long"]?.array?.count ?? 0
            guard long > 0, let limit = policy["max_length"]?.integer else { continue }
            notes.append(
                "\(name): \(Figures.count(long)) rows above \(Figures.count(limit)) tokens (policy: \(policy["policy"]?.string ?? ""))."
            )
        }
        let duplicates = preflight["duplicates"]
        for (key, what) in [
            ("within", "repeated within"), ("across_splits", "that stand in another part too, in"),
            ("prompts_across_splits", "whose question stands in another part too, in"),
        ] {
            for (name, rows) in duplicates?[key]?.object?.pairs ?? [] {
                let count = rows.array?.count ?? 0
                if count > 0 { notes.append("\(Figures.count(count)) rows \(what) \(name).") }
            }
        }
        return notes + (preflight["warnings"]?.array ?? []).compactMap(\.string)
    }
}
