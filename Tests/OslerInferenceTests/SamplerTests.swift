import OslerCompute
import OslerInference
import OslerModels
import OslerTestSupport
import Testing

@Suite struct SamplerTests {
    private func options(
        temperature: Double = 1, topK: Int? = nil, topP: Double = 1, seed: UInt64 = 0
    ) -> SamplingOptions {
        var options = SamplingOptions()
        (options.temperature, options.topK, options.topP, options.seed) =
            (temperature, topK, topP, seed)
        return options
    }

    /// Shares of 20000 draws.
    private func shares(_ logits: [Float], _ options: SamplingOptions) -> [Double] {
        var sampler = Sampler(options)
        var counts = [Double](repeating: 0, count: logits.count)
        for _ in 0..<20000 { counts[Int(sampler.next(logits))] += 1 / 20000 }
        return counts
    }

    /// Probabilities 0.5, 0.25, 0.125, 0.125 in another order.
    static let logits: [Float] = [-2.0794415, -0.6931472, -2.0794415, -1.3862944]

    struct Case: Sendable {
        var temperature = 1.0
        var topK: Int?
        var topP = 1.0
        let expected: [Double]
    }

    static let cases = [
        Case(expected: [0.125, 0.5, 0.125, 0.25]),
        Case(temperature: 0.5, expected: [0.0454545, 0.7272727, 0.0454545, 0.1818182]),
        Case(topK: 2, expected: [0, 0.6666667, 0, 0.3333333]),
        Case(topK: 1, expected: [0, 1, 0, 0]),
        // Of two that are equal the first is kept.
        Case(topK: 3, expected: [0.1428571, 0.5714286, 0, 0.2857143]),
        Case(topK: .max, expected: [0.125, 0.5, 0.125, 0.25]),
        Case(topK: 100, expected: [0.125, 0.5, 0.125, 0.25]),
        Case(topP: 0.6, expected: [0, 0.6666667, 0, 0.3333333]),
        Case(topP: 0.01, expected: [0, 1, 0, 0]),
        Case(topP: 0.8, expected: [0.1428571, 0.5714286, 0, 0.2857143]),
        // Top-p of what top-k and temperature left.
        Case(temperature: 0.5, topK: 2, topP: 0.85, expected: [0, 0.8, 0, 0.2]),
        Case(temperature: 0.5, topK: 2, topP: 0.75, expected: [0, 1, 0, 0]),
    ]

    @Test(arguments: cases)
    func `draws have the expected shares`(item: Case) {
        let found = shares(
            Self.logits,
            options(temperature: item.temperature, topK: item.topK, topP: item.topP, seed: 7))
        for (share, wanted) in zip(found, item.expected) {
            // Five standard deviations; what is cut off never comes.
            #expect(abs(share - wanted) <= (wanted == 0 ? 0 : 0.018), "\(found)")
        }
    }

    @Test func `the seed decides the draws`() {
        func draws(_ seed: UInt64) -> [Int32] {
            var sampler = Sampler(options(seed: seed))
            return (0..<50).map { _ in sampler.next(Self.logits) }
        }
        #expect(draws(1) == draws(1))
        #expect(draws(1) != draws(2))
    }

    @Test func `greedy takes the first of the largest`() {
        var sampler = Sampler(.greedy)
        #expect(sampler.next([0, 3, 1, 3]) == 1)
    }
}

@Suite struct GeneratorTests {
    @Test func `a restart that keeps what is common gives the same answer`() throws {
        let model = try loadTiny(Fixtures.path("lora/base"))
        let first: [Int32] = [1, 301, 273, 203, 37]
        let second: [Int32] = [1, 301, 273, 203, 90, 17, 44]
        let kept = try Generator(model, capacity: 64)
        _ = try kept.generate(first, maxNewTokens: 8, stop: [], sampling: .greedy)
        let fresh = try Generator(model, capacity: 64)
        for prompt in [second, second + [5], first, first] {
            let found = try kept.generate(prompt, maxNewTokens: 8, stop: [], sampling: .greedy)
            fresh.rewind(to: 0)
            let wanted = try fresh.generate(prompt, maxNewTokens: 8, stop: [], sampling: .greedy)
            #expect(found.ids == wanted.ids && found.ids.count == 8)
            #expect(
                GoldenDifference(found.logProbabilities, wanted.logProbabilities).absolute < 1e-4)
        }
    }

    @Test func `an answer ends at a stop token, the limit, and the capacity`() throws {
        let model = try loadTiny(Fixtures.path("lora/base"))
        let prompt: [Int32] = [1, 301, 273, 203, 37]
        let long = try Generator(model, capacity: 64).generate(
            prompt, maxNewTokens: 12, stop: [], sampling: .greedy)
        #expect(long.ids.count == 12 && !long.stopped)
        let end = long.ids[3]
        let place = try #require(long.ids.firstIndex(of: end))
        var shown: [Int32] = []
        let stopped = try Generator(model, capacity: 64).generate(
            prompt, maxNewTokens: 12, stop: [end], sampling: .greedy
        ) { id in
            shown.append(id)
            return true
        }
        #expect(stopped.ids == Array(long.ids[...place]) && stopped.stopped)
        #expect(shown == Array(long.ids[..<place]))
        let full = try Generator(model, capacity: 8).generate(
            prompt, maxNewTokens: 12, stop: [], sampling: .greedy)
        // The last one needs no place of its own.
        #expect(full.ids == Array(long.ids.prefix(4)))
    }

    @Test(arguments: [1, 3, 20], [Precision.float32, .bfloat16])
    func `prompts answered together get the answers that each gets alone`(
        sequences: Int, precision: Precision
    ) throws {
        let model = try loadTiny(Fixtures.path("lora/base"), precision)
        // Prompts and answers of many lengths, so that places come free at different times.
        let requests = (0..<25).map { i in
            var sampling = SamplingOptions()
            (sampling.temperature, sampling.seed) = (i % 2 == 0 ? 0 : 0.9, UInt64(i))
            return BatchGenerator.Request(
                prompt: (0...(i * 7 % 23)).map { Int32(1 + (i * 31 + $0 * 17) % 300) },
                maxNewTokens: 1 + i * 5 % 9, sampling: sampling)
        }
        let alone = try Generator(model, capacity: 64)
        let wanted = try requests.map { request in
            alone.rewind(to: 0)
            return try alone.generate(
                request.prompt, maxNewTokens: request.maxNewTokens, stop: [3, 200],
                sampling: request.sampling)
        }
        var found = [Generator.Output?](repeating: nil, count: requests.count)
        let together = try BatchGenerator(model, sequences: sequences, capacity: 64)
        try together.generate(requests, stop: [3, 200]) { index, answer in
            #expect(found[index] == nil)
            found[index] = answer
        }
        #expect(found == wanted)
    }

    @Test func `log probabilities are those of a plain softmax`() {
        let logits = (0..<1003).map { Float(($0 * 7919) % 1000) / 40 - 12 }
        let wanted = logSoftmax(logits[...])
        logits.withUnsafeBufferPointer { values in
            for id in stride(from: 0, to: 1003, by: 17) {
                #expect(abs(Double(logProbability(of: Int32(id), values)) - wanted[id]) < 2e-6)
            }
        }
    }

    @Test func `sequences scored together are scored as alone`() throws {
        let model = try loadTiny(Fixtures.path("lora/base"))
        let sequences: [[Int32]] = [[1, 301, 273, 203], [5], [], [9, 8, 7, 6, 5, 4, 3]]
        let together = try SequenceScorer(model).score(sequences)
        #expect(together.map(\.count) == [3, 0, 0, 6])
        for (ids, values) in zip(sequences, together) {
            let alone = try SequenceScorer(model).score([ids])[0]
            #expect(GoldenDifference(values, alone).absolute < 1e-5)
        }
    }
}
