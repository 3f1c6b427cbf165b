import OslerFormats
import OslerTestSupport
import Testing

@testable import OslerReport

@Suite struct ReportTests {
    /// Names of the tags in a page; everything else is text.
    private func tags(_ html: String) -> Set<String> {
        var names: Set<String> = []
        for part in html.split(separator: "<").dropFirst() {
            names.insert(
                String(part.prefix { $0.isLetter || $0.isNumber || $0 == "/" || $0 == "!" }))
        }
        return names
    }

    @Test func `whatever the run's files say stays text`() {
        let html = Report(fullRun(hostile)).html
        let plain = Report(fullRun()).html
        #expect(tags(html) == tags(plain))
        #expect(
            !html.contains("<script") && !html.contains("<img")
                && !html.contains("onerror=alert(2)>"))
        #expect(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&gt;&lt;img"))
        // Each place that has the text has it escaped.
        let places = { (page: String, text: String) in page.ranges(of: text).count }
        #expect(places(html, "&lt;script&gt;") >= 30)
        #expect(places(html, "<style>") == 1 && places(html, "</style>") == 1)
        #expect(!html.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" && $0 != "\t" })
    }

    @Test func `nothing comes from elsewhere`() {
        let html = Report(fullRun()).html
        for forbidden in [
            "http:", "https:", "src=", "url(", "@import", "<script", "<link", "javascript:",
        ] {
            #expect(!html.contains(forbidden), "\(forbidden)")
        }
        #expect(html.contains("default-src 'none'"))
    }

    @Test func `each part is there`() {
        let html = Report(fullRun()).html
        for title in [
            "What was trained on what", "Data", "Curves", "Evaluation", "Won and lost",
            "Memory, planned and measured", "Configuration",
        ] { #expect(html.contains("<h2>\(title)</h2>"), "\(title)") }
        #expect(html.contains("+12.5") && html.contains("+2.5 to +22.5") && html.contains("0.0213"))
        #expect(html.contains("Won: right only after training (1)"))
        #expect(html.contains("plain thought 1") && html.contains("plain thought 2"))
        #expect(!html.contains("plain thought 3") && !html.contains("plain thought 4"))
        #expect(html.contains("1 rows above 300 tokens") && html.contains("broken in 3 rows"))
        #expect(html.contains("114.4 MiB") && html.contains("104.9 MiB"))
        #expect(html.contains("1 min 15 s") && html.contains("3.000 \u{2192} 0.300"))
        #expect(!html.contains("HTML(") && !html.contains("Optional("))
        // Training, held out, learning rate, norm, pace, memory; perplexity.
        #expect(html.ranges(of: "<figure class=\"chart\">").count == 6)
    }

    @Test func `what is absent is left out`() {
        let full = fullRun()
        let changes: [(inout RunFiles) -> Void] = [
            { $0.record = [:] }, { $0.log = [] }, { $0.steps = [] }, { $0.comparison = nil },
            { $0.items = [] },
        ]
        for change in changes {
            var run = full
            change(&run)
            let html = Report(run).html
            #expect(html.hasSuffix("</html>\n") && !html.contains("<h2></h2>"))
            #expect(!html.contains("Optional(") && !html.contains("HTML("))
        }
        for key in full.record.keys {
            for value in [nil, JSON.null, 3, "x", [], [:]] as [JSON?] {
                var run = full
                run.record[key] = value
                #expect(Report(run).html.hasSuffix("</html>\n"))
            }
        }
        let empty = Report(RunFiles(folder: "x/y")).html
        #expect(empty.contains("<h1>y</h1>") && !empty.contains("<h2>"))
        var sparse = RunFiles(folder: "x")
        sparse.comparison = ["tasks": [["name": "t", "base": .null], 3, .null]]
        sparse.items = [3, ["tuned": ["correct": true], "base": ["correct": false]]]
        sparse.log = [["loss": .number(.nan), "step": 1], ["loss": "x"], .null]
        #expect(Report(sparse).html.contains("<h2>Evaluation</h2>"))
    }

    @Test func `reasoning and answer are told apart`() {
        #expect(Report.parts("<think>a\n</think>\n b ") == ("a", "b"))
        // The prompt may have opened it.
        #expect(Report.parts("a</think>b") == ("a", "b"))
        #expect(Report.parts("<think>never ends") == ("never ends", ""))
        #expect(Report.parts("just <think> text") == ("", "just <think> text"))
    }

    @Test func `only some examples are shown, the others counted`() {
        var run = fullRun()
        let won = run.items[0]
        run.items = Array(repeating: won, count: 40)
        let html = Report(run).html
        #expect(html.ranges(of: "<div class=\"sides\">").count == 12)
        #expect(html.contains("28 more in evaluation/items.jsonl"))
    }
}

@Suite struct CurveTests {
    @Test func `ticks are round and within`() {
        #expect(Curve.ticks(0...1, most: 5, unit: 1) == [0, 0.2, 0.4, 0.6000000000000001, 0.8, 1])
        #expect(Curve.ticks(1...24, most: 6, unit: 1) == [5, 10, 15, 20])
        #expect(Curve.ticks(0...3 * 1024, most: 5, unit: 1024) == [0, 1024, 2048, 3072])
        for range in [0.0...1.1e-9, -5.0...7.0, 1e8...3e8] {
            let ticks = Curve.ticks(range, most: 5, unit: 1)
            #expect((2...6).contains(ticks.count) && ticks.allSatisfy(range.contains), "\(range)")
        }
    }

    @Test func `ticks have the digits that tell them apart`() {
        #expect(
            Figures.tick(3.6, distance: 0.2) == "3.6" && Figures.tick(4, distance: 0.2) == "4.0")
        #expect(
            Figures.tick(50, distance: 5) == "50" && Figures.tick(0.15, distance: 0.05) == "0.15")
        #expect(
            Figures.tick(0.002, distance: 0.001) == "0.002" && Figures.tick(0, distance: 1) == "0")
        #expect(Figures.tick(2e-5, distance: 5e-6) == "2e-5")
        #expect(Figures.bytesTick(80 * 1_048_576, distance: 1) == "80 MiB")
        #expect(Figures.bytesTick(1.5 * 1_073_741_824, distance: 1) == "1.50 GiB")
    }

    @Test func `one point and equal points can be drawn`() {
        let sets: [[(Double, Double)]] = [[(1, 2)], [(1, 2), (2, 2)], [(1, .nan), (2, 3)]]
        for points in sets {
            let html = Curve(
                title: "t",
                series: [.init(name: "n", color: 0, points: points.map { (x: $0.0, y: $0.1) })]
            ).html.source
            #expect(html.contains("<path") && !html.contains("nan") && !html.contains("inf"))
        }
        #expect(Curve(title: "t", series: []).html == "")
        for level in [Double.nan, .infinity, -1e308] {
            let points = [(x: 1.0, y: -1e308), (x: 1e300, y: 1e308)]
            let curve = Curve(
                title: "t", series: [.init(name: "n", color: 0, points: points)],
                level: ("l", level))
            #expect(curve.html.source.contains("<path"))
        }
    }

    @Test func `a long run is thinned`() {
        let points = (1...5000).map { (x: Double($0), y: Double($0)) }
        let html = Curve(title: "t", series: [.init(name: "n", color: 0, points: points)]).html
            .source
        #expect(html.ranges(of: "class=\"tip\"").count == 300)
    }
}

@Suite struct FiguresTests {
    @Test func `numbers are as people write them`() {
        #expect(
            Figures.fixed(1234.5678, 2) == "1,234.57" && Figures.fixed(-0.5, 1) == "\u{2212}0.5")
        #expect(Figures.fixed(.nan, 2) == "\u{2013}" && Figures.fixed(0.04, 1) == "0.0")
        #expect(Figures.short(2e-5) == "2e-5" && Figures.short(0.25) == "0.250")
        #expect(Figures.count(1_234_567) == "1,234,567" && Figures.bytes(1536) == "1.50 KiB")
        #expect(Figures.duration(3725) == "1 h 02 min" && Figures.duration(65) == "1 min 05 s")
    }
}
