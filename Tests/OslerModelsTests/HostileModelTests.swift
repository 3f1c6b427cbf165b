import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import Testing

/// Numbers in `config.json` that no model has, or that aren't those of the weights.
@Suite struct `Hostile models` {
    static let sizes = [
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings",
    ]
    static let noSizes: [JSON] = [
        0, -1, 1.5, .integer(1 << 31), .integer(.max), .integer(.min), .number(.infinity),
        .number(.nan), "64", true, [], [:],
    ]

    private func refuses(
        _ copy: ModelCopy, _ key: String, file: String = "config.json",
        at place: SourceLocation = #_sourceLocation
    ) throws {
        let found = try refusal { _ = try ModelFiles(copy.path) }
        let error = try #require(found, "accepted", sourceLocation: place)
        #expect(error.file == copy.file(file), "\(error)", sourceLocation: place)
        #expect(error.field == key, "\(error)", sourceLocation: place)
        #expect(error.remedy != nil, "\(error)", sourceLocation: place)
    }

    @Test(arguments: sizes, noSizes)
    func `what is no size is refused`(key: String, value: JSON) throws {
        let copy = try ModelCopy("lora/base")
        try copy.set(key, value)
        try refuses(copy, key)
    }

    static let noNumbers: [JSON] = [
        0, -1, .number(-0.0), .number(.infinity), .number(.nan), 1e300, 1e-300, "8", true, [],
    ]

    @Test(
        arguments: [
            "rms_norm_eps", "rope_parameters.rope_theta", "rope_parameters.factor",
            "rope_parameters.low_freq_factor", "rope_parameters.high_freq_factor",
            "rope_parameters.original_max_position_embeddings",
        ], noNumbers)
    func `numbers must be positive and finite`(key: String, value: JSON) throws {
        let copy = try ModelCopy("model/llama3-rope-tied")
        try copy.set(key, value)
        try refuses(copy, key)
    }

    @Test(
        arguments: [
            ("head_dim", 12, "head_dim"), ("head_dim", 4, "head_dim"),
            ("head_dim", 1032, "head_dim"),
            ("num_attention_heads", 65, "num_key_value_heads"),
            ("num_key_value_heads", 3, "num_key_value_heads"),
            ("rope_parameters.factor", nil, "rope_parameters.factor"),
            ("rope_parameters.low_freq_factor", 4, "rope_parameters.low_freq_factor"),
            ("rope_parameters.rope_type", "yarn", "rope_parameters.rope_type"),
            ("rope_parameters", ["rope_type": "linear", "factor": 1e-38], "rope"),
            ("rope_parameters", [1], "rope_parameters"),
            ("tie_word_embeddings", "yes", "tie_word_embeddings"), ("mlp_bias", 1, "mlp_bias"),
            ("hidden_act", "gelu", "hidden_act"),
            ("use_sliding_window", true, "use_sliding_window"),
            ("model_type", 1, "model_type"),
        ] as [(String, JSON?, String)])
    func `what the layers can't have is refused`(
        key: String, value: JSON?, field: String
    ) throws {
        let copy = try ModelCopy("model/llama3-rope-tied")
        try copy.set(key, value)
        try refuses(copy, field)
    }

    /// Each would take memory without end, or compute something else, if it were believed.
    @Test(arguments: [
        ("hidden_size", 2_147_483_640, "model.layers.0.self_attn.q_proj.weight"),
        ("intermediate_size", 2_147_483_647, "model.layers.0.mlp.gate_proj.weight"),
        ("num_attention_heads", 2_147_483_646, "model.layers.0.self_attn.q_proj.weight"),
        ("num_key_value_heads", 1, "model.layers.0.self_attn.k_proj.weight"),
        ("head_dim", 1024, "model.layers.0.self_attn.q_proj.weight"),
        ("vocab_size", 2_147_483_647, "model.embed_tokens.weight"),
    ])
    func `sizes are those of the weights`(key: String, value: Int, tensor: String) throws {
        let copy = try ModelCopy("lora/base")
        try copy.set(key, .integer(value))
        try refuses(copy, tensor, file: WeightStore.singleName)
    }

    @Test(arguments: [
        (2_147_483_647, "model.layers.3.self_attn.q_proj.weight", "missing"),
        (2, "model.layers.2.input_layernorm.weight", "more than the 2 layers"),
    ])
    func `layers are those of the weights`(count: Int, tensor: String, problem: String) throws {
        let copy = try ModelCopy("lora/base")
        try copy.set("num_hidden_layers", .integer(count))
        let error = try #require(try refusal { _ = try ModelFiles(copy.path) })
        #expect(error.file == copy.path && error.field == tensor && error.remedy != nil)
        #expect(error.problem.contains(problem), "\(error)")
    }

    @Test func `answers that are not finite are an error`() throws {
        let copy = try ModelCopy("lora/base")
        try copy.change { tensors in
            tensors["model.norm.weight"]?.bytes.replaceSubrange(
                0..<4, with: [UInt8](repeating: 0, count: 4).beginning(with: .nan))
        }
        let backend = ReferenceBackend(precision: .float32)
        let model = try ModelLoader(ModelFiles(copy.path), backend: backend).load(positions: 8)
        let error = try refusal {
            _ = try model.logits(batch([1, 2]), arena: try testArena(backend))
        }
        #expect(error?.problem.contains("not finite") == true)
    }
}

/// 4-bit checkpoints whose parts don't fit each other.
@Suite struct `Hostile 4-bit checkpoints` {
    private static let weight = "model.layers.0.mlp.down_proj.weight"
    private static let state = weight + ".quant_state.bitsandbytes__nf4"

    private func refusal(_ copy: ModelCopy) throws -> InputError {
        try #require(
            try OslerModelsTests.refusal { _ = try ModelFiles(copy.path) }, "accepted")
    }

    @Test(
        arguments: [
            ("blocksize", 0), ("blocksize", -64), ("blocksize", 48), ("blocksize", 1e300),
            ("blocksize", "64"), ("blocksize", nil), ("quant_type", "fp4"), ("quant_type", 4),
            ("shape", [64]), ("shape", [192, 64]), ("shape", [64, -192]), ("shape", "64 x 192"),
            ("shape", [.integer(.max), .integer(.max)]), ("nested_blocksize", 0),
            ("nested_blocksize", 128), ("nested_offset", "0.2"), ("nested_offset", .number(.nan)),
            ("nested_offset", .number(.infinity)), ("nested_offset", 1e300),
        ] as [(String, JSON?)])
    func `a wrong description is refused`(key: String, value: JSON?) throws {
        let copy = try ModelCopy("nf4/prequantized-double")
        try copy.change { tensors in
            guard let bytes = tensors[Self.state]?.bytes,
                var object = (try? JSON.parse(bytes))?.object
            else { return }
            object[key] = value
            let text = Array(JSON.object(object).serialized().utf8)
            tensors[Self.state] = (.uint8, [text.count], text)
        }
        let error = try refusal(copy)
        #expect(error.file == copy.file(WeightStore.singleName))
        #expect(error.field == "\(Self.state): \(key)" && error.remedy != nil, "\(error)")
    }

    @Test(arguments: [
        ("", 1, -1), (".absmax", 1, -1), (".absmax", 1, 1), (".nested_absmax", 4, -1),
        (".nested_quant_map", 4, -1),
    ])
    func `parts of another size are refused`(suffix: String, width: Int, more: Int) throws {
        let copy = try ModelCopy("nf4/prequantized-double")
        let name = Self.weight + suffix
        try copy.change { tensors in
            guard let part = tensors[name] else { return }
            let count = part.bytes.count / width + more
            tensors[name] = (
                part.type, [count], Array((part.bytes + part.bytes).prefix(count * width))
            )
        }
        let error = try refusal(copy)
        #expect(error.field == name && error.problem.contains("are expected"), "\(error)")
    }

    @Test(arguments: [".absmax", ".nested_absmax", ".nested_quant_map"])
    func `missing parts are named`(suffix: String) throws {
        let copy = try ModelCopy("nf4/prequantized-double")
        try copy.change { $0[Self.weight + suffix] = nil }
        #expect(try refusal(copy).field == Self.weight + suffix)
    }

    @Test func `an embedding can't be in 4 bits`() throws {
        let copy = try ModelCopy("nf4/prequantized-double")
        try copy.change { tensors in
            tensors["model.embed_tokens.weight.quant_state.bitsandbytes__nf4"] = tensors[Self.state]
        }
        let error = try refusal(copy)
        #expect(error.field == "model.embed_tokens.weight" && error.remedy != nil, "\(error)")
    }

    @Test func `4 bits must be announced in config.json`() throws {
        let copy = try ModelCopy("nf4/prequantized-double")
        try copy.set("quantization_config", nil)
        let error = try refusal(copy)
        #expect(error.remedy?.contains("quantization_config") == true, "\(error)")
    }
}
