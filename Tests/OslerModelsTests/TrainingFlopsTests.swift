import OslerCompute
import OslerModels
import OslerTestSupport
import Testing

/// What training needs, against numbers by hand and against what runs.
@Suite struct TrainingFlopsTests {
    /// D 8, F 16, 2 heads of 4, 1 key head, V 10, two layers.
    private static let tiny = ModelConfiguration(
        family: .llama, hiddenSize: 8, intermediateSize: 16, layers: 2, heads: 2, keyValueHeads: 1,
        headWidth: 4, vocabularySize: 10, maxPositions: 64, epsilon: 1e-5,
        rotary: RotaryConfiguration(theta: 10000), tiedHead: true)

    private func flops(
        _ configuration: ModelConfiguration, _ targets: LoRAConfiguration.Targets, rank: Int
    ) throws -> TrainingFlops {
        let model = try CausalLM.shapeOnly(
            configuration, backend: PlanningBackend(precision: .float32))
        var lora = LoRAConfiguration()
        (lora.rank, lora.targets) = (rank, targets)
        try model.attachUnfilled(lora)
        return TrainingFlops(model)
    }

    @Test func `by hand, adapters on all query and value layers`() throws {
        let flops = try flops(Self.tiny, .names(["q_proj", "v_proj"]), rank: 2)
        // Parameters: q 64, k 32, v 32, o 64, gate, up and down 128 each. Queries, keys and values of the lowest block
        // hand no gradient down: 2 * 128 + 4 * 448 there, 4 * 576 in the other.
        #expect(flops.linearPerToken == 2 * 128 + 4 * 448 + 4 * 576)
        // q: A 16 and B 16 parameters, v: A 16 and B 8; A without an input gradient in the lowest block.
        #expect(flops.loraPerToken == (4 * 32 + 6 * 24) + 6 * 56)
        #expect(flops.attentionPerScore == 2 * 12 * 8)
        #expect(flops.headPerTarget == 4 * 80)
        let batch = TokenBatch(
            ids: [1, 2, 3, 4, 5], positions: [0, 1, 2, 0, 1], targets: [-1, 3, -1, 5, -1],
            lengths: [3, 2])
        let needed = flops.needed(batch)
        #expect(needed.linear == 5 * 4352)
        #expect(needed.lora == 5 * 608)
        // 6 and 3 visible scores.
        #expect(needed.attention == 9 * 192)
        #expect(needed.head == 2 * 320)
        #expect(needed.total == 5 * 4352 + 5 * 608 + 9 * 192 + 2 * 320)
    }

    @Test func `nothing is needed below the lowest adapter`() throws {
        let flops = try flops(Self.tiny, .names(["model.layers.1.mlp.up_proj"]), rank: 2)
        // Only the down projection of the last block lies above the adapter.
        #expect(flops.linearPerToken == 2 * 576 + 2 * 448 + 4 * 128)
        #expect(flops.attentionPerScore == 2 * 4 * 8)
        #expect(flops.loraPerToken == 4 * 16 + 6 * 32)
    }

    /// 6.98e9 parameters in linear layers, 5.25e8 in the head.
    @Test func `by hand, Llama 8B with attention adapters`() throws {
        let flops = try flops(
            ModelShape.r1DistillLlama.configuration,
            .names(["q_proj", "k_proj", "v_proj", "o_proj"]), rank: 16)
        let (qkv, rest) = (4096 * 6144, 4096 * 4096 + 3 * 4096 * 14336)
        #expect(flops.linearPerToken == 4 * 32 * (qkv + rest) - 2 * qkv)
        #expect(flops.headPerTarget == 4 * 4096 * 128_256)
        #expect(flops.attentionPerScore == 32 * 12 * 32 * 128)
        // A 4096 four times; B 4096 for q and o, 1024 for k and v.
        #expect(flops.loraPerToken == 32 * 6 * 16 * (4 * 4096 + 10240) - 2 * 16 * 3 * 4096)
    }

    /// A step that keeps everything runs these flops and no others.
    @Test(arguments: ["llama-gqa", "qwen2", "qwen3"])
    func `equals what runs`(family: String) throws {
        let backend = ProfilingBackend(try CPUBackend(precision: .float32, threads: 2))
        let model = try loadModel("model/\(family)", backend)
        var lora = LoRAConfiguration()
        (lora.rank, lora.targets) = (
            4, .names(["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"])
        )
        try model.attach(lora, seed: 1)
        let batch = TokenBatch(sequences: [[1, 2, 3, 4, 5, 6, 7], [8, 9, 10]], allTargets: true)
        let arena = try testArena(backend)
        backend.restart()
        _ = try model.accumulateGradients(
            batch, loss: .nll, scale: 1, checkpointing: .none, dropout: nil, arena: arena)
        let run = backend.profile.entries.reduce(0) { $0 + $1.cost.flops }
        #expect(run == TrainingFlops(model).needed(batch).total)
    }
}
