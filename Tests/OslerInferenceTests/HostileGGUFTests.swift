import OslerFormats
import OslerModels
import Testing

/// Numbers in a GGUF file that no model has, or that aren't those of its tensors.
@Suite struct `Hostile GGUF models` {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func refuses(
        _ field: String, _ changes: [String: JSON] = [:], ropeFrequencies: [Float]? = nil,
        at place: SourceLocation = #_sourceLocation
    ) throws {
        let file = folder.path("model.gguf")
        try TinyGGUF.write(to: file, changes: changes, ropeFrequencies: ropeFrequencies)
        let error = #expect(throws: InputError.self, sourceLocation: place) {
            try ModelFiles(file)
        }
        #expect(error?.file == file && error?.remedy != nil, sourceLocation: place)
        #expect(error?.field == field, "\(error?.description ?? "")", sourceLocation: place)
    }

    @Test func `the undamaged file is read`() throws {
        let file = folder.path("model.gguf")
        let frequencies = (1...8).map { Float($0) }
        try TinyGGUF.write(
            to: file, changes: ["llama.attention.key_length": 16], ropeFrequencies: frequencies)
        let rotary = try ModelFiles(file).configuration.rotary
        #expect(rotary.scaling == .divisors(frequencies))
    }

    static let noSizes: [JSON] = [0, -1, 1.5, .integer(1 << 31), .integer(.min), "4", true, [1]]

    @Test(
        arguments: [
            "llama.block_count", "llama.context_length", "llama.embedding_length",
            "llama.feed_forward_length", "llama.attention.head_count",
            "llama.attention.head_count_kv", "llama.attention.key_length",
        ], noSizes)
    func `what is no size is refused`(key: String, value: JSON) throws {
        try refuses(key, [key: value])
    }

    @Test(
        arguments: [
            "llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base",
            "llama.rope.scaling.factor",
        ], [0, -1, .number(.nan), .number(.infinity), "1", false] as [JSON])
    func `numbers must be positive and finite`(key: String, value: JSON) throws {
        try refuses(key, ["llama.rope.scaling.type": "linear", key: value])
    }

    @Test(
        arguments: [
            ("llama.attention.key_length", 12, "llama.attention.key_length"),
            ("llama.attention.head_count", 1, "llama.attention.head_count_kv"),
            ("llama.rope.scaling.type", "yarn", "llama.rope.scaling.type"),
            ("llama.rope.scaling.type", "linear", "llama.rope.scaling.factor"),
            ("llama.embedding_length", 128, "blk.0.attn_q.weight"),
            ("llama.feed_forward_length", 2_147_483_647, "blk.0.ffn_gate.weight"),
            ("llama.block_count", 2_147_483_647, "model.layers.3.self_attn.q_proj.weight"),
            ("llama.block_count", 2, "model.layers.2.input_layernorm.weight"),
        ] as [(String, JSON, String)])
    func `what the tensors or layers can't have is refused`(
        key: String, value: JSON, field: String
    ) throws {
        try refuses(field, [key: value])
    }

    @Test(arguments: [
        [], [1], [Float](repeating: 1, count: 7), [Float](repeating: 1, count: 9),
        [Float](repeating: 0, count: 8), [1, 1, 1, 1, 1, 1, 1, -1],
        [1, 1, 1, .nan, 1, 1, 1, 1], [1, 1, 1, 1, .infinity, 1, 1, 1],
    ])
    func `rope frequencies fit the heads`(values: [Float]) throws {
        try refuses("rope_freqs.weight", ropeFrequencies: values)
    }
}
