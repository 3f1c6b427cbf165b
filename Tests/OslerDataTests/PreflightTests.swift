import OslerData
import OslerFormats
import OslerTestSupport
import Testing

@Suite struct `Preflight checks` {
    private let qa = { (question: String, answer: String) in
        row(("messages", chat(("user", question), ("assistant", answer))))
    }

    private func report(
        _ splits: [[JSON.Object]], template: String? = nil,
        _ change: (inout DataConfiguration) -> Void = { _ in }
    ) throws -> PreflightReport {
        var configuration = DataConfiguration()
        change(&configuration)
        let preparation = DataPreparation(
            try Golden.tinyContext(template: template), configuration)
        let prepared = try zip(splits, ["train", "eval", "test"]).map {
            try preparation.prepare(Dataset(file: "rows.json", rows: $0), name: $1)
        }
        return try Preflight.run(prepared, preparation)
    }

    @Test func `good data passes`() throws {
        let records = (try Golden.json("train-raw.json").array ?? []).compactMap(\.object)
        let report = try report([records])
        try report.check()
        #expect(report.warnings == [])
        let split = report.splits[0]
        #expect(split.rowCount == 18)
        #expect(split.histogram.bars.reduce(0) { $0 + $1.count } == 18)
        #expect(split.targetShare > 0.3 && split.targetShare < 0.9)
        #expect(split.brokenProofs == [])
    }

    @Test func `the sample shows what is learned`() throws {
        let report = try report([[qa("Hi", "Yes")]])
        let sample = try #require(report.sample)
        #expect(
            sample.text(colour: false)
                == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n⟦Yes<|im_end|>⟧\n")
        #expect(sample.text(colour: true).contains("\u{1B}[32mYes<|im_end|>\u{1B}[0m"))
        let text = report.text(colour: false)
        #expect(text.contains("train: 1 rows of rows.json (messages)"))
        #expect(text.contains("in the loss ("))
        #expect(text.hasSuffix("preflight passed\n"))
    }

    @Test func `the report as JSON`() throws {
        let json = try report([[qa("Hi", "Yes")], [qa("hi ", "yes")]]).json
        #expect(json["passed"] == .bool(true))
        #expect(json["splits"]?.array?.count == 2)
        let train = try #require(json["splits"]?.array?.first)
        #expect(train["rows"] == .integer(1))
        #expect(train["proofs"]?["assistant_text"]?["holds"] == .bool(true))
        #expect(json["duplicates"]?["across_splits"]?["eval"] == .array([.integer(0)]))
    }

    @Test func `duplicates are found through case and white space`() throws {
        let train = [qa("One  two", "A"), qa("three", "B"), qa("one two ", "a")]
        let eval = [qa("ONE\ntwo", "A"), qa("three", "C"), qa("onetwo", "A")]
        let duplicates = try report([train, eval]).duplicates
        #expect(duplicates.within == ["train": [2]])
        #expect(duplicates.acrossSplits == ["eval": [0]])
        #expect(duplicates.promptsAcrossSplits == ["eval": [1]])
    }

    @Test func `TRL's traps are warnings under compat trl`() throws {
        let rows = [qa("Q", "<think>why</think>so")]
        let report = try report([rows], template: `Labels from roles`.cutting) {
            $0.compatibility = .trl
            $0.completionOnlyLoss = true
        }
        try report.check()
        let kinds = report.splits[0].brokenProofs.map(\.first.kind)
        #expect(kinds.contains(.assistantText))
        #expect(kinds.contains(.promptPrefix))
        #expect(report.warnings.contains { $0.hasPrefix("TRL ignores completion_only_loss") })
    }

    @Test func `text with a second BOS in front is found`() throws {
        let report = try report([
            [row(("text", .string("<|im_start|><|im_start|>user\nQ<|im_end|>")))]
        ])
        #expect(report.splits[0].brokenProofs.map(\.first.kind) == [.beginning])
        #expect(
            errorLine { try report.check() } == "rows.json: row 0: the row does not begin with BOS "
                + "once: expected <|im_start|> once, found 2 times; remove <|im_start|> from the "
                + "data, or leave out compat: trl")
    }

    @Test func `a row without an end of turn stops`() throws {
        let report = try report([[row(("input_ids", .array([50, 60, 70].map(JSON.integer))))]])
        #expect(report.splits[0].brokenProofs.map(\.first.kind) == [.ending])
        let line = try #require(errorLine { try report.check() })
        #expect(
            line.hasPrefix("rows.json: row 0: the end of the assistant's turn is not in the loss"))
        #expect(!line.contains("\n"))
    }

    @Test func `lengths are shown with what each policy would do`() throws {
        let rows = (1...20).map { qa("Q\($0)", String(repeating: "word \($0) ", count: $0)) }
        let report = try report([rows]) {
            $0.maxLength = 40
            $0.lengthPolicy = .drop
        }
        let split = report.splits[0]
        let dropped = split.rowCount - split.keptRows
        #expect(dropped > 5)
        #expect(split.effects.map(\.policy) == [.drop, .error, .truncate])
        #expect(split.effects.allSatisfy { $0.rows == dropped })
        let text = report.text(colour: false)
        #expect(text.contains("<- max_length 40"))
        #expect(text.contains("drop would leave out \(dropped) rows"))
        #expect(text.contains("█"))
    }

    @Test func `a histogram counts every length once`() {
        let histogram = LengthHistogram([3, 9, 9, 100, 4000])
        #expect(histogram.bars.reduce(0) { $0 + $1.count } == 5)
        #expect(histogram.bars.count <= 12)
        #expect((histogram.shortest, histogram.median, histogram.longest) == (3, 9, 4000))
        #expect(histogram.percentile95 == 4000)
        #expect(LengthHistogram([]).bars.isEmpty)
        #expect(LengthHistogram([5]).lines(limit: 6).count == 1)
    }
}
