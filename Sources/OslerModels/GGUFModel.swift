internal import OslerFormats

/// How a GGUF file's metadata and tensor names map onto transformers'.
enum GGUFModel {
    /// - Throws: when the architecture is unknown or a key is missing.
    static func configuration(_ file: GGUFFile) throws -> ModelConfiguration {
        let reader = ModelConfigurationReader(.object(file.metadata), file: file.path)
        let architecture = try reader.string("general.architecture")
        guard let family = ModelFamily(rawValue: architecture) else {
            throw InputError(
                "unknown architecture \"\(architecture)\"", file: file.path,
                field: "general.architecture", remedy: "Osler knows \(ModelFamily.known)")
        }
        func key(_ name: String) -> String { architecture + "." + name }
        let hidden = try reader.size(key("embedding_length"))
        let heads = try reader.size(key("attention.head_count"))
        let headWidth = try reader.optionalSize(key("attention.key_length")) ?? hidden / heads
        // The metadata needn't say how many tokens there are.
        guard let rows = file["token_embd.weight"]?.shape.first, rows > 0, rows < 1 << 31 else {
            throw reader.error("token_embd.weight", "missing, or without a row a token")
        }
        let configuration = ModelConfiguration(
            family: family, hiddenSize: hidden,
            intermediateSize: try reader.size(key("feed_forward_length")),
            layers: try reader.size(key("block_count")), heads: heads,
            keyValueHeads: try reader.optionalSize(key("attention.head_count_kv")) ?? heads,
            headWidth: headWidth, vocabularySize: rows,
            maxPositions: try reader.size(key("context_length")),
            epsilon: Float(
                try reader.optionalNumber(key("attention.layer_norm_rms_epsilon")) ?? 1e-5),
            rotary: try rotary(file, reader, key, headWidth: headWidth),
            tiedHead: file["output.weight"] == nil,
            attentionBias: file["blk.0.attn_q.bias"] != nil,
            outputBias: file["blk.0.attn_output.bias"] != nil,
            headNorms: file["blk.0.attn_q_norm.weight"] != nil,
            bosTokenID: file.metadata["tokenizer.ggml.bos_token_id"]?.integer,
            eosTokenIDs: file.metadata["tokenizer.ggml.eos_token_id"]?.integer.map { [$0] } ?? [])
        try configuration.validate(
            reader, headWidth: key("attention.key_length"),
            keyValueHeads: key("attention.head_count_kv"))
        return configuration
    }

    private static func rotary(
        _ file: GGUFFile, _ reader: ModelConfigurationReader, _ key: (String) -> String,
        headWidth: Int
    ) throws -> RotaryConfiguration {
        var rotary = RotaryConfiguration(
            theta: try reader.optionalNumber(key("rope.freq_base")) ?? 10000)
        switch try reader.optionalString(key("rope.scaling.type")) {
        case nil, "none"?: break
        case "linear"?:
            rotary.scaling = .linear(factor: try reader.number(key("rope.scaling.factor")))
        case let type?:
            throw InputError(
                "unknown rope scaling \"\(type)\"", file: file.path,
                field: key("rope.scaling.type"), remedy: "Osler knows none, linear")
        }
        if let tensor = file["rope_freqs.weight"] {
            guard tensor.shape == [headWidth / 2] else {
                throw reader.error(
                    tensor.name, "shape \(tensor.shape) for heads of width \(headWidth)")
            }
            let divisors = try tensor.floats()
            guard divisors.allSatisfy({ $0 > 0 && $0.isFinite }) else {
                throw reader.error(tensor.name, "holds a number that is not positive and finite")
            }
            rotary.scaling = .divisors(divisors)
        }
        return rotary
    }

    /// `model.layers.3.self_attn.q_proj.weight` -> `blk.3.attn_q.weight`; nil for names that have no counterpart.
    static func tensorName(_ name: String) -> String? {
        switch name {
        case "model.embed_tokens.weight": return "token_embd.weight"
        case "model.norm.weight": return "output_norm.weight"
        case "lm_head.weight": return "output.weight"
        default: break
        }
        let prefix = "model.layers."
        guard name.hasPrefix(prefix) else { return nil }
        let parts = name.dropFirst(prefix.count).split(separator: ".")
        guard parts.count >= 3, let last = parts.last else { return nil }
        let module = parts[1..<parts.count - 1].joined(separator: ".")
        guard let mapped = modules[module] else { return nil }
        return "blk.\(parts[0]).\(mapped).\(last)"
    }

    private static let modules = [
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    ]

    /// Whether the file's matrices are in fewer bits than 16: then transformers holds what it decodes from them in
    /// bfloat16.
    static func isQuantized(_ file: GGUFFile) -> Bool {
        file.tensors.contains { !["F32", "F16", "BF16"].contains($0.type.name) }
    }

    /// Heads whose rows llama.cpp interleaved: the q and k projections of Llama files; nil for all else.
    static func permutedHeads(_ name: String, _ configuration: ModelConfiguration) -> Int? {
        guard configuration.family == .llama else { return nil }
        if name.hasSuffix("self_attn.q_proj.weight") || name.hasSuffix("self_attn.q_proj.bias") {
            return configuration.heads
        }
        if name.hasSuffix("self_attn.k_proj.weight") || name.hasSuffix("self_attn.k_proj.bias") {
            return configuration.keyValueHeads
        }
        return nil
    }
}
