import OslerData
import OslerEvaluation
import OslerFormats
import OslerInference
import OslerTestSupport
import OslerTokenizers
import Testing

@Suite struct ModelEvaluatorTests {
    private func settings(_ change: (inout EvaluationSettings) -> Void = { _ in })
        -> EvaluationSettings
    {
        var settings = EvaluationSettings()
        (settings.maxNewTokens, settings.batchSize) = (12, 3)
        change(&settings)
        return settings
    }

    private func log(_ folder: TemporaryFolder, _ name: String) throws -> OutputLog {
        try OutputLog(folder.path(name), identity: ["n": .string(name)], restarts: false)
    }

    /// The lines behind the first one, in any order.
    private func lines(_ path: String) throws -> Set<String> {
        Set(try FileSystem.readText(path).split(separator: "\n").dropFirst().map(String.init))
    }

    @Test(arguments: [1, 3])
    func `a run that was stopped goes on and ends with the same outputs`(samples: Int) throws {
        let (tiny, folder) = (try Tiny(), try TemporaryFolder())
        let evaluator = tiny.evaluator(
            settings {
                $0.samples = samples
                if samples > 1 { $0.sampling.temperature = 1 }
                $0.measuresPerplexity = true
            })
        let items = Tiny.items(7)
        let whole = try log(folder, "whole")
        #expect(try evaluator.run(items, usesAdapters: true, log: whole))
        #expect(whole.records.count == 7 * samples + 7)

        let name = "stopped"
        var asked = 0
        evaluator.shouldStop = {
            asked += 1
            return asked > 18
        }
        let stopped = try log(folder, name)
        #expect(try !evaluator.run(items, usesAdapters: true, log: stopped))
        #expect(stopped.records.count > 0 && stopped.records.count < whole.records.count)
        let kept = try lines(folder.path(name))
        evaluator.shouldStop = { false }
        // Half a line, as a power cut leaves it.
        try AtomicFile.write(
            FileSystem.readText(folder.path(name)) + "{\"task\": \"t\", \"id\": \"6",
            to: folder.path(name))
        #expect(try evaluator.run(items, usesAdapters: true, log: try log(folder, name)))
        let after = try lines(folder.path(name))
        #expect(kept.isSubset(of: after))
        #expect(try after == lines(folder.path("whole")))
    }

    @Test func `base and tuned are different models`() throws {
        let (tiny, folder) = (try Tiny(), try TemporaryFolder())
        let evaluator = tiny.evaluator(settings { $0.method = .loglikelihood })
        for (name, tuned) in [("base", false), ("tuned", true)] {
            #expect(
                try evaluator.run(
                    Tiny.items(2), usesAdapters: tuned, log: try log(folder, name)))
        }
        #expect(try lines(folder.path("base")) != lines(folder.path("tuned")))
    }

    @Test(arguments: EvaluationSettings.Choices.allCases)
    func `log likelihoods are those of the whole sequences`(
        choices: EvaluationSettings.Choices
    ) throws {
        let (tiny, folder) = (try Tiny(), try TemporaryFolder())
        let settings = settings {
            $0.method = .loglikelihood
            $0.choices = choices
        }
        let log = try log(folder, "x")
        let items = Tiny.items(3)
        #expect(try tiny.evaluator(settings).run(items, usesAdapters: true, log: log))
        let scorer = SequenceScorer(tiny.model)
        for item in items {
            let result = try #require(item.result(log, settings))
            let (context, continuations) = item.continuations(choices)
            let known = tiny.chat.tokenizer.encode(context).count
            for (found, text) in zip(try #require(result.logLikelihoods), continuations) {
                let ids = tiny.chat.tokenizer.encode(context + " " + text)
                let all = try scorer.score([ids])[0]
                let sum = all[(known - 1)...].reduce(0.0) { $0 + Double($1) }
                #expect(abs(found - sum) < 1e-4)
            }
        }
    }

    @Test func `reasoning beyond the budget is ended`() throws {
        let (tiny, folder) = (try Tiny(), try TemporaryFolder())
        let close = tiny.chat.tokenizer.encode("\n</think>\n\n")
        let evaluator = tiny.evaluator(
            settings {
                $0.maxNewTokens = 4 + close.count + 5
                $0.thinkingBudget = 4
            })
        let generator = try BatchGenerator(tiny.model, sequences: 2, capacity: 64)
        var counts = [0, 0]
        generator.steer = { index, _ in
            counts[index] += 1
            return counts[index] == 3 ? close : []
        }
        let requests = [[53, 89], [37, 82, 87]].map {
            BatchGenerator.Request(prompt: $0, maxNewTokens: 20, sampling: .greedy)
        }
        var answers: [Int: [Int32]] = [:]
        #expect(try generator.generate(requests, stop: []) { answers[$0] = $1.ids })
        let alone = try Generator(tiny.model, capacity: 64)
        for (index, request) in requests.enumerated() {
            let ids = try #require(answers[index])
            #expect(ids.count == 20)
            #expect(Array(ids[3..<3 + close.count]) == close)
            let first = try alone.generate(
                request.prompt, maxNewTokens: 3, stop: [], sampling: .greedy)
            #expect(Array(ids[..<3]) == first.ids)
            let rest = try alone.generate(
                request.prompt + ids[..<(3 + close.count)], maxNewTokens: 17 - close.count,
                stop: [], sampling: .greedy)
            #expect(Array(ids[(3 + close.count)...]) == rest.ids)
        }
        // The tiny model opens its reasoning, and doesn't close it by itself.
        let ended = try log(folder, "x")
        #expect(try evaluator.run(Tiny.items(1), usesAdapters: true, log: ended))
        let record = try #require(ended.records.values.first)
        let output = try #require(record["output"]?.string)
        #expect(record["thinking_ended"] == true)
        // What is forced begins with a line feed, which still counts.
        #expect(record["thinking_tokens"] == 5, "\(record)")
        let (reasoning, rest) = try #require(output.cut(at: "\n</think>\n\n"))
        #expect(!rest.contains("</think>"))
        // Up to there it is what the model says without a budget.
        let free = try log(folder, "y")
        let unlimited = tiny.evaluator(settings { $0.maxNewTokens = 4 + close.count + 5 })
        #expect(try unlimited.run(Tiny.items(1), usesAdapters: true, log: free))
        let whole = try #require(free.records.values.first)
        #expect(whole["thinking_ended"] == false)
        #expect(whole["output"]?.string?.hasPrefix(reasoning) == true && reasoning.count > 10)
    }

    @Test func `reasoning and response are measured apart`() throws {
        let (tiny, folder) = (try Tiny(), try TemporaryFolder())
        let settings = settings { $0.measuresPerplexity = true }
        let log = try log(folder, "x")
        let item = Tiny.items(1)[0]
        #expect(try tiny.evaluator(settings).run([item], usesAdapters: true, log: log))
        let loss = try #require(item.result(log, settings)?.demonstration)
        let tokenizer = tiny.chat.tokenizer
        let target = tokenizer.encode("<think>It is 0.</think>Rest.")
        #expect(loss.reasoningTokens + loss.responseTokens == target.count)
        #expect(
            tokenizer.decode(Array(target[..<loss.reasoningTokens])) == "<think>It is 0.</think>")
        let message: JSON = ["role": "user", "content": "Sign 0?"]
        let prompt = tokenizer.encode(
            try tiny.chat.render([message], addGenerationPrompt: true).text)
        let all = try SequenceScorer(tiny.model).score([prompt + target])[0].map(Double.init)
        let values = all[(prompt.count - 1)...]
        let reasoning = -values.prefix(loss.reasoningTokens).reduce(0, +)
        let response = -values.dropFirst(loss.reasoningTokens).reduce(0, +)
        #expect(abs(loss.reasoning - reasoning) < 1e-3 && abs(loss.response - response) < 1e-3)
    }

    @Test func `open questions have no log likelihoods`() {
        let item = EvaluationItem(
            task: "t", id: "5", question: "Q", reference: .open(answers: ["x"]))
        let task = EvaluationTask(name: "t", file: "t.jsonl", items: [item])
        let error = #expect(throws: InputError.self) {
            try ModelEvaluator.check(task, settings { $0.method = .loglikelihood })
        }
        #expect(
            error?.description
                == "t.jsonl: item 5 has no options, log likelihoods compare options; use --method generate"
        )
    }

    @Test func `outputs of another evaluation are not mixed in`() throws {
        let folder = try TemporaryFolder()
        _ = try OutputLog(folder.path("a"), identity: ["model": "x"], restarts: false)
        #expect(throws: InputError.self) {
            try OutputLog(folder.path("a"), identity: ["model": "y"], restarts: false)
        }
        _ = try OutputLog(folder.path("a"), identity: ["model": "x"], restarts: false)
        _ = try OutputLog(folder.path("a"), identity: ["model": "y"], restarts: true)
    }
}

extension String {
    fileprivate func cut(at text: String) -> (before: String, after: String)? {
        guard let range = firstRange(of: text) else { return nil }
        return (String(self[..<range.lowerBound]), String(self[range.upperBound...]))
    }
}
