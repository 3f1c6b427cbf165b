import OslerCompute
import OslerFormats
import OslerInference
import OslerModels
import OslerTestSupport
import OslerTokenizers
import Testing

@Suite struct MergerTests {
    static let probe: [Int32] = [1, 301, 273, 203, 37, 225, 90, 400]

    private func merge(
        _ base: String, into folder: String, largestDivergence: Double = 0.02
    ) throws -> ModelMerger.Agreement {
        try FileSystem.createDirectories(folder)
        return try ModelMerger(
            ModelFiles(base), adapter: Fixtures.path("lora/qkvo"), threads: 2
        ).merge(into: folder, probe: Self.probe, largestDivergence: largestDivergence)
    }

    @Test func `a merged bfloat16 model equals PEFT's to the bit`() throws {
        let folder = try TemporaryFolder()
        let base = folder.path("base")
        try writeRoundedBase(Fixtures.path("lora/base"), as: .bfloat16, into: base)
        let agreement = try merge(base, into: folder.path("merged"))
        #expect(agreement.divergence < 1e-3)
        let golden = try Golden(Fixtures.path("lora/qkvo/expected.safetensors"))
        let merged = try WeightStore(folder.path("merged"))
        let prefix = "merged_bf16."
        var compared = 0
        for name in golden.names where name.hasPrefix(prefix) {
            let tensor = try merged.tensor(String(name.dropFirst(prefix.count)))
            #expect(tensor.type == .bfloat16)
            #expect(try tensor.floats() == golden.floats(name), "\(name)")
            compared += 1
        }
        #expect(compared == 12)
        // What has no adapter stays as it was.
        let untouched = "model.layers.1.mlp.up_proj.weight"
        #expect(
            try merged.tensor(untouched).floats() == WeightStore(base).tensor(untouched).floats())
    }

    @Test func `a merged model that differs is refused`() throws {
        let folder = try TemporaryFolder()
        #expect {
            try merge(
                Fixtures.path("lora/base"), into: folder.path("merged"), largestDivergence: 1e-12)
        } throws: { error in
            (error as? InputError)?.problem.contains("divergence") == true
        }
    }

    @Test func `a 4-bit base is merged dequantized`() throws {
        let folder = try TemporaryFolder()
        _ = try merge(Fixtures.path("nf4/prequantized-double"), into: folder.path("merged"))
        let merged = try ModelFiles(folder.path("merged"))
        #expect(!merged.isPrequantized && merged.json["quantization_config"] == nil)
        #expect(merged.json["dtype"]?.string == "bfloat16")
        let expected = try loadTiny(Fixtures.path("nf4/prequantized-double"))
        try expected.attachAdapter(from: Fixtures.path("lora/qkvo"))
        let found = try SequenceScorer(try loadTiny(folder.path("merged"))).score([Self.probe])
        let wanted = try SequenceScorer(expected).score([Self.probe])
        #expect(GoldenDifference(found[0], wanted[0]).absolute < 0.05)
    }

    @Test func `a GGUF base becomes a Hugging Face folder`() throws {
        let folder = try TemporaryFolder()
        let file = folder.path("tiny.gguf")
        try TinyGGUF.write(to: file)
        _ = try merge(file, into: folder.path("merged"))
        _ = try merge(Fixtures.path("lora/base"), into: folder.path("expected"))
        let (merged, expected) = try (
            WeightStore(folder.path("merged")), WeightStore(folder.path("expected"))
        )
        #expect(merged.names == expected.names)
        for name in expected.names {
            #expect(
                try merged.tensor(name).floats() == expected.tensor(name).floats(), "\(name)")
        }
        let configuration = try ModelFiles(folder.path("merged")).configuration
        #expect(try configuration == ModelFiles(file).configuration)
        let found = try Tokenizer.load(folder.path("merged"))
        let wanted = try Tokenizer.load(Fixtures.path("lora/tokenizer"))
        for text in ["<|im_start|>user\nFever, 40 °C  and 12345 \u{1F600}<|im_end|>\n", "", "a  b"]
        {
            #expect(found.encode(text, addSpecialTokens: true) == wanted.encode(text))
            #expect(found.decode(found.encode(text)) == text)
        }
        #expect(found.chatTemplate == wanted.chatTemplate)
        #expect(found.eosToken == wanted.eosToken && found.bosToken == wanted.bosToken)
    }
}
