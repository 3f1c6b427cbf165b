import OslerCompute
import OslerModels
import Testing

/// Everything that two training steps, an evaluation and some decoding compute on a small random model.
struct TinyRun {
    static let layers = 6
    var tiedHead = false
    var isQuantized = false
    var checkpointing = Checkpointing.block

    var configuration: ModelConfiguration {
        ModelConfiguration(
            family: .qwen3, hiddenSize: 32, intermediateSize: 64, layers: Self.layers, heads: 4,
            keyValueHeads: 2, headWidth: 8, vocabularySize: 50, maxPositions: 64, epsilon: 1e-6,
            rotary: RotaryConfiguration(theta: 10000), tiedHead: tiedHead, headNorms: true)
    }

    /// The numbers, and how many blocks were fetched by the two steps.
    func results(
        on backend: any Backend, _ placement: Placement
    ) throws -> (values: [[Float]], fetches: Int) {
        let model = try CausalLM.random(
            configuration, backend: backend, isQuantized: isQuantized, positions: 64,
            placement: placement)
        var lora = LoRAConfiguration()
        (lora.rank, lora.targets, lora.dropout) = (2, .allLinear, 0.1)
        try model.attach(lora, seed: 1)
        let adapter = try #require(model.adapter)
        for module in adapter.modules {
            let b = module.pair.b
            backend.write((0..<b.count).map { Float($0 % 7 - 3) / 50 }, to: b)
        }
        let batch = TokenBatch(
            sequences: [(0..<9).map { $0 * 5 % 50 }, [3, 1, 4]], allTargets: true)
        let arena = try Arena(
            backend: backend, byteCounts: Array(repeating: 1 << 20, count: placement.devices))
        var values: [[Float]] = []
        for step in 0..<2 {
            let rows = try model.accumulateGradients(
                batch, loss: .nll, scale: 0.1, checkpointing: checkpointing,
                dropout: DropoutSource(seed: 1, microBatch: UInt64(step)), arena: arena)
            values.append(rows.logProbabilities)
        }
        let fetches = model.streams.reduce(0) { $0 + $1.fetches }
        values.append(try adapter.gradients.flatMap(backend.floats))
        values.append(try model.lossRows(batch, arena: arena).entropies)
        let cache = try KeyValueCache(model, sequences: 1, capacity: 8)
        for ids: [Int32] in [[1, 2, 3], [4], [5]] {
            values.append(try model.advance([(0, ids)], cache: cache, arena: arena))
        }
        return (values, fetches)
    }
}
