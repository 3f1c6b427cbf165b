internal import OslerFormats

/// A run as one HTML file that needs nothing else: no script, no font and no picture from anywhere. Whatever the run's
/// files say is text in it, never markup.
package struct Report: Sendable {
    package static let fileName = "report.html"
    let run: RunFiles

    package init(_ run: RunFiles) { self.run = run }

    package var html: String {
        let sections: [HTML] = [
            header, origin, data, curves, evaluation, examples, memory, configuration,
        ]
        let document: HTML = """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8">
            <meta name="viewport" content="width=device-width,initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
            <meta name="referrer" content="no-referrer">
            <title>\(title) – osler report</title>
            <style>\(Style.sheet)</style></head>
            <body><main>\(sections)\(footer)</main></body></html>

            """
        return document.source
    }

    // MARK: What the files say

    var record: JSON { .object(run.record) }
    var title: String {
        record["name"]?.string
            ?? FileSystem.name(of: record["base_model"]?["path"]?.string ?? run.folder)
    }
    var trainLog: [JSON] { run.log.filter { $0["loss"] != nil } }
    var evaluationLog: [JSON] { run.log.filter { $0["eval_loss"] != nil } }

    /// Values of an entry's key over the steps.
    func points(_ entries: [JSON], _ key: String) -> [(x: Double, y: Double)] {
        entries.compactMap { entry in
            guard let step = entry["step"]?.double, let value = entry[key]?.double, value.isFinite
            else { return nil }
            return (step, value)
        }
    }

    // MARK: Parts of a page

    func section(_ title: String, _ content: HTML) -> HTML {
        "<section><h2>\(title)</h2>\n\(content)</section>\n"
    }

    /// Names and values; those without a value are left out.
    func pairs(_ rows: [(name: String, value: HTML?)]) -> HTML {
        let rows: [HTML] = rows.compactMap { row in
            row.value.map { "<tr><th scope=\"row\">\(row.name)</th><td>\($0)</td></tr>\n" }
        }
        return "<div class=\"card\"><table class=\"pairs\"><tbody>\(rows)</tbody></table></div>"
    }

    /// The first column is text, the others are numbers unless `texts` names them.
    func table(_ head: [String], _ rows: [[HTML]], texts: Set<Int> = []) -> HTML {
        func kind(_ place: Int) -> HTML {
            place == 0 || texts.contains(place) ? "" : " class=\"n\""
        }
        let heads: [HTML] = head.enumerated().map {
            "<th scope=\"col\"\(kind($0.offset))>\($0.element)</th>"
        }
        let lines: [HTML] = rows.map { row in
            let cells: [HTML] = row.enumerated().map { "<td\(kind($0.offset))>\($0.element)</td>" }
            return "<tr>\(cells)</tr>\n"
        }
        return """
            <div class="card"><table><thead><tr>\(heads)</tr></thead><tbody>\(lines)</tbody></table></div>
            """
    }

    func text(_ value: JSON?) -> HTML? {
        switch value {
        case nil, .null?: nil
        case .string(let text)?: "\(text)"
        case .integer(let number)?: "\(Figures.count(number))"
        case .number(let number)?: "\(Figures.short(number))"
        case .bool(let bool)?: bool ? "yes" : "no"
        case let other?: "\(other.serialized(ensureASCII: false))"
        }
    }

    private var footer: HTML {
        """
        <footer><p>Written by osler\(record["osler"]?.string.map { " " + $0 } ?? "") from the files in the run's folder. \
        Models that are trained on medical texts make mistakes with confidence: nothing here is clinical advice, and no \
        output may be used for the care of a patient.</p></footer>
        """
    }
}
