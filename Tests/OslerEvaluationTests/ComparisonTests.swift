import OslerEvaluation
import OslerFormats
import Testing

@Suite struct ComparisonTests {
    private func result(_ isCorrect: Bool, _ change: (inout ItemResult) -> Void = { _ in })
        -> ItemResult
    {
        var result = ItemResult()
        (result.isCorrect, result.answer) = (isCorrect, isCorrect ? "A" : "B")
        change(&result)
        return result
    }

    /// 20 items: the base gets 0..<8 right, the tuned model 4..<16.
    private func items(contaminated: Set<Int>? = nil) -> [GradedItem] {
        Tiny.items(20).enumerated().map { index, item in
            GradedItem(
                item: item,
                base: result(index < 8) { $0.isUnparsed = index >= 18 },
                tuned: result((4..<16).contains(index)) {
                    ($0.truncated, $0.tokens, $0.thinkingTokens) = (index % 5 == 0 ? 1 : 0, 10, 4)
                },
                contamination: contaminated.map {
                    .init(isWholeText: $0.contains(index), share: 0)
                })
        }
    }

    @Test func `counts, difference and tests`() throws {
        let comparison = TaskComparison(name: "t", method: .generate, items: items())
        let json = comparison.json
        #expect(json["count"] == 20 && json["name"] == "t" && json["method"] == "generate")
        let (base, tuned) = (try #require(json["base"]), try #require(json["tuned"]))
        #expect(base["accuracy"]?.double == 0.4 && tuned["accuracy"]?.double == 0.6)
        let wilson = Statistics.wilson(successes: 8, count: 20)
        #expect(base["low"]?.double == wilson.low && base["high"]?.double == wilson.high)
        #expect(base["unparsed"] == 2 && tuned["unparsed"] == 0)
        #expect(tuned["truncated"] == 4 && tuned["truncation_rate"]?.double == 0.2)
        #expect(tuned["mean_thinking_tokens"]?.double == 4)
        #expect(json["won"] == 8 && json["lost"] == 4)
        #expect(json["difference"]?.double == 0.2)
        #expect(json["mcnemar_p"]?.double == Statistics.mcnemar(won: 8, lost: 4))
        let differences = (0..<20).map { index -> Double in
            ((4..<16).contains(index) ? 1 : 0) - (index < 8 ? 1 : 0)
        }
        let interval = Statistics.bootstrap(differences)
        #expect(json["difference_low"]?.double == interval.low)
        #expect(json["difference_high"]?.double == interval.high)
        #expect(json["contamination"] == JSON.null)
    }

    @Test func `by source`() throws {
        let json = TaskComparison(name: "t", method: .generate, items: items()).json
        let sources = try #require(json["per_source"]?.array)
        #expect(sources.map { $0["source"] } == ["even", "odd"])
        #expect(sources.map { $0["count"] } == [10, 10])
        #expect(sources.map { $0["won"] } == [4, 4])
    }

    @Test func `items of the training data are set apart`() throws {
        let json = TaskComparison(
            name: "t", method: .generate, items: items(contaminated: [8, 9, 10])
        ).json
        let part = try #require(json["contamination"])
        #expect(part["count"] == 3)
        #expect(part["items"]?.array?.map { $0["id"] } == ["8", "9", "10"])
        #expect(part["without"]?["count"] == 17 && part["without"]?["won"] == 5)
        #expect(json["count"] == 20 && json["won"] == 8)
    }

    @Test func `one side alone has no difference`() {
        let alone = items().map { GradedItem(item: $0.item, base: $0.base, tuned: nil) }
        let json = TaskComparison(name: "t", method: .generate, items: alone).json
        #expect(json["tuned"] == JSON.null && json["difference"] == JSON.null)
        #expect(json["won"] == JSON.null && json["base"]?["count"] == 20)
    }

    @Test func `items are lines for a report`() {
        let json = items()[4].json
        #expect(json["task"] == "t" && json["id"] == "4" && json["reference"] == "B")
        #expect(json["base"]?["correct"] == true && json["base"]?["answer"] == "A")
        #expect(json["options"] == ["A": "rest", "B": "a long walk", "C": "é"])
    }

    @Test func `perplexities are over all tokens`() throws {
        let items = [(2.0, 1), (4.0, 5)].map { nll, tokens in
            result(true) {
                var loss = DemonstrationLoss()
                (loss.reasoning, loss.reasoningTokens) = (nll, tokens)
                (loss.response, loss.responseTokens) = (0, 1)
                $0.demonstration = loss
            }
        }
        let found = try #require(SideSummary(items).perplexities)
        #expect(abs(found.reasoning - 2.718281828459045) < 1e-12 && found.response == 1)
        #expect(SideSummary([result(true)]).perplexities == nil)
    }

    @Test func `the majority of samples counts`() {
        #expect(majority([1, 2, 2]) == 2)
        #expect(majority([1, 2]) == 1)
        #expect(majority([nil, nil, 3]) == 3)
        #expect(majority([Int?.none, nil]) == nil)
    }

    @Test func `samples are read, voted on and counted`() throws {
        let folder = try TemporaryFolder()
        var settings = EvaluationSettings()
        settings.samples = 3
        let item = Tiny.items(2)[1]
        let path = folder.path("log")
        _ = try OutputLog(path, identity: [:], restarts: false)
        var text = try FileSystem.readText(path)
        for (sample, output) in ["Answer: A", "Answer: B", "<think>x</think>B"].enumerated() {
            text +=
                JSON.object([
                    "task": "t", "id": "1", "kind": "output", "sample": .integer(sample),
                    "output": .string(output), "tokens": 5, "thinking_tokens": 2,
                    "truncated": .bool(sample == 0),
                ]).serialized() + "\n"
        }
        try AtomicFile.write(text, to: path)
        let log = try OutputLog(path, identity: [:], restarts: false)
        let result = try #require(item.result(log, settings))
        #expect(result.answer == "B" && result.isCorrect && !result.isUnparsed)
        #expect(result.samples == 3 && result.truncated == 1 && result.tokens == 15)
        settings.samples = 4
        #expect(item.result(log, settings) == nil)
    }

    @Test func `a limit spreads over the file`() {
        let task = EvaluationTask(name: "t", file: "t", items: Tiny.items(10))
        #expect(EvaluationRun.limited(task, to: 4).items.map(\.id) == ["0", "2", "5", "7"])
        #expect(EvaluationRun.limited(task, to: 20).items.count == 10)
    }
}
