import OslerCompute
import OslerFormats
import OslerInference
import OslerModels
import OslerTestSupport
import Testing

/// Generation and scoring against transformers on SmolLM2, where the model (`make quickstart` gets it) and the reference
/// values are there.
@Suite struct GreedyTests {
    static let model = Fixtures.root + "/models/SmolLM2-135M-Instruct.Q4_1.gguf"
    static var isThere: Bool { FileSystem.exists(model) && Fixtures.sharedIsThere }

    private func loadModel(adapter: Bool) throws -> CausalLM {
        let backend = try CPUBackend(precision: .float32, threads: 2)
        let model = try ModelLoader(ModelFiles(Self.model), backend: backend).load(positions: 512)
        if adapter {
            try model.attachAdapter(from: try #require(Fixtures.shared("generate/adapter")))
        }
        return model
    }

    @Test(.enabled(if: isThere, "needs models/ and ../shared"), arguments: ["base", "adapter"])
    func `greedy answers equal transformers'`(kind: String) throws {
        let cases = try JSON.parse(file: try #require(Fixtures.shared("generate/greedy.json")))
        let generator = try Generator(try loadModel(adapter: kind == "adapter"), capacity: 512)
        var compared = 0
        for item in cases.array ?? [] where item["model"]?.string == kind {
            let expected = try #require(item["new_ids"]?.array).compactMap(\.integer)
            let prompt = try #require(item["prompt_ids"]?.array).compactMap(\.integer)
            generator.rewind(to: 0)
            let output = try generator.generate(
                prompt.map(Int32.init), maxNewTokens: 40, stop: [2], sampling: .greedy)
            // A tie within rounding may go either way.
            let gap = item["min_top2_gap"]?.double ?? 1
            if gap >= 0.02 { #expect(output.ids.map(Int.init) == expected) }
            compared += 1
        }
        #expect(compared > 0)
    }

    @Test(.enabled(if: isThere, "needs models/ and ../shared"), arguments: ["base", "adapter"])
    func `log probabilities equal transformers'`(kind: String) throws {
        let cases = try JSON.parse(file: try #require(Fixtures.shared("generate/logprobs.json")))
        let scorer = SequenceScorer(try loadModel(adapter: kind == "adapter"))
        var compared = 0
        for item in cases.array ?? [] where item["model"]?.string == kind {
            let prompt = try #require(item["prompt_ids"]?.array).compactMap(\.integer)
            let completion = try #require(item["completion_ids"]?.array).compactMap(\.integer)
            let expected = try #require(item["completion_logprobs"]?.array).compactMap {
                $0.double.map(Float.init)
            }
            let found = try #require(
                try scorer.score([(prompt + completion).map(Int32.init)]).first)
            #expect(GoldenDifference(found.suffix(expected.count), expected).absolute < 2e-3)
            compared += 1
        }
        #expect(compared > 0)
    }
}
