import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import Testing

/// Logits of every family against transformers.
@Suite struct ModelGoldenTests {
    static let families = ["llama-gqa", "llama3-rope-tied", "qwen2", "qwen3"]

    private func golden(_ family: String) throws -> Golden {
        try Golden(Fixtures.path("model/\(family)/expected.safetensors"))
    }

    @Test(arguments: families, TestBackend.allCases)
    func `float32 logits equal transformers'`(family: String, on: TestBackend) throws {
        let backend = try on.make()
        let model = try loadModel("model/\(family)", backend)
        let golden = try golden(family)
        let ids = try golden.integers("single.input_ids")
        let arena = try testArena(backend)
        let single = try model.logits(batch(ids), arena: arena)
        #expect(GoldenDifference(single, try golden.floats("single.logits")).absolute < 2e-5)
        let offset = try model.logits(
            batch(ids, positions: try golden.integers("offset.position_ids")), arena: arena)
        #expect(GoldenDifference(offset, try golden.floats("offset.logits")).absolute < 2e-5)
    }

    @Test(arguments: families, TestBackend.allCases)
    func `logits of flattened sequences equal transformers'`(
        family: String, on: TestBackend
    ) throws {
        let backend = try on.make()
        let model = try loadModel("model/\(family)", backend)
        let golden = try golden(family)
        let ids = try golden.integers("flat.input_ids").map(Int32.init)
        let positions = try golden.integers("flat.position_ids").map(Int32.init)
        let starts = positions.indices.filter { positions[$0] == 0 } + [ids.count]
        let lengths = zip(starts, starts.dropFirst()).map { $1 - $0 }
        let arena = try testArena(backend)
        let flat = TokenBatch(
            ids: ids, positions: positions, targets: ids.map { _ in -1 }, lengths: lengths)
        let together = try model.logits(flat, arena: arena)
        #expect(GoldenDifference(together, try golden.floats("flat.logits")).absolute < 2e-5)
    }

    /// No sum crosses a sequence. Up to `fewRows` tokens, and more of them, are summed in two orders, so batches of one
    /// kind are compared.
    @Test(arguments: families, [[5, 1, 8, 2], [fewRows + 1, 30, fewRows + 4]])
    func `flattened sequences give the bits that each gives alone`(
        family: String, lengths: [Int]
    ) throws {
        let backend = try TestBackend.cpu.make()
        let model = try loadModel("model/\(family)", backend)
        let arena = try testArena(backend)
        let ids = try golden(family).integers("single.input_ids").map(Int32.init)
        let sequences = lengths.enumerated().map { index, length in
            (0..<length).map { ids[(7 * index + $0) % ids.count] }
        }
        let together = try model.logits(
            TokenBatch(sequences: sequences, allTargets: false), arena: arena)
        let alone = try sequences.flatMap {
            try model.logits(TokenBatch(sequences: [$0], allTargets: false), arena: arena)
        }
        #expect(alone == together)
    }

    @Test(arguments: families, TestBackend.allCases)
    func `bfloat16 logits are near transformers' bfloat16 logits`(
        family: String, on: TestBackend
    ) throws {
        let backend = try on.make(.bfloat16)
        let model = try loadModel("model/\(family)", backend)
        let golden = try golden(family)
        let ids = try golden.integers("single.input_ids")
        let logits = try model.logits(batch(ids), arena: try testArena(backend))
        #expect(GoldenDifference(logits, try golden.floats("bf16.logits")).absolute < 0.1)
    }

    @Test(arguments: families)
    func `rotary frequencies equal transformers'`(family: String) throws {
        let files = try ModelFiles(Fixtures.path("model/\(family)"))
        let frequencies = files.configuration.rotary.inverseFrequencies(
            headWidth: files.configuration.headWidth)
        #expect(
            GoldenDifference(frequencies, try golden(family).floats("rope_inv_freq")).relative
                < 1e-6)
    }

    @Test(arguments: ["double", "single"], TestBackend.allCases)
    func `bitsandbytes checkpoints give the logits of their dequantized weights`(
        kind: String, on: TestBackend
    ) throws {
        let backend = try on.make()
        let model = try loadModel("nf4/prequantized-\(kind)", backend)
        let golden = try Golden(Fixtures.path("nf4/prequantized-expected.safetensors"))
        let ids = try golden.integers("input_ids")
        let logits = try model.logits(batch(ids), arena: try testArena(backend))
        let expected = try golden.floats("prequantized-\(kind).logits_fp32_dequantised")
        #expect(GoldenDifference(logits, expected).absolute < 2e-5)
    }

    @Test(arguments: families, TestBackend.allCases)
    func `a cache fed in pieces gives the logits of the whole`(
        family: String, on: TestBackend
    ) throws {
        let backend = try on.make()
        let model = try loadModel("model/\(family)", backend)
        let ids = try golden(family).integers("single.input_ids").map(Int32.init)
        let arena = try testArena(backend)
        let whole = try model.logits(batch(ids.map(Int.init)), arena: arena)
        let cache = try KeyValueCache(model, sequences: 2, capacity: 64)
        let vocabulary = model.configuration.vocabularySize
        var start = 0
        for length in [17, 1, 1, 15, 1] {
            let piece = Array(ids[start..<start + length])
            start += length
            let logits = try model.advance([(0, piece), (1, piece)], cache: cache, arena: arena)
            let expected = whole[(start - 1) * vocabulary..<start * vocabulary]
            #expect(GoldenDifference(logits.prefix(vocabulary), expected).absolute < 2e-5)
            #expect(logits.prefix(vocabulary).elementsEqual(logits.suffix(vocabulary)))
        }
    }
}
