internal import OslerFormats

/// How a GGUF file's metadata and tensor names map onto transformers'.
enum GGUFModel {
    /// - Throws: when the architecture is unknown or a key is missing.
    static func configuration(_ file: GGUFFile) throws -> ModelConfiguration {
        let reader = MetadataReader(file: file)
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
        let vocabulary: Int
        if let shape = file["token_embd.weight"]?.shape {
            vocabulary = shape.first ?? 0
        } else {
            vocabulary = try reader.size(key("vocab_size"))
        }
        var rotary = RotaryConfiguration(
            theta: try reader.number(key("rope.freq_base")) ?? 10000)
        if let type = file.metadata[key("rope.scaling.type")]?.string, type != "none" {
            guard type == "linear", let factor = try reader.number(key("rope.scaling.factor"))
            else {
                throw InputError(
                    "unknown rope scaling \"\(type)\"", file: file.path,
                    field: key("rope.scaling.type"), remedy: "Osler knows none, linear")
            }
            rotary.scaling = .linear(factor: factor)
        }
        if let divisors = file["rope_freqs.weight"] {
            rotary.scaling = .divisors(try divisors.floats())
        }
        let configuration = ModelConfiguration(
            family: family, hiddenSize: hidden,
            intermediateSize: try reader.size(key("feed_forward_length")),
            layers: try reader.size(key("block_count")), heads: heads,
            keyValueHeads: try reader.optionalSize(key("attention.head_count_kv")) ?? heads,
            headWidth: headWidth, vocabularySize: vocabulary,
            maxPositions: try reader.size(key("context_length")),
            epsilon: Float(
                try reader.number(key("attention.layer_norm_rms_epsilon")) ?? 1e-5),
            rotary: rotary, tiedHead: file["output.weight"] == nil,
            attentionBias: file["blk.0.attn_q.bias"] != nil,
            outputBias: file["blk.0.attn_output.bias"] != nil,
            headNorms: file["blk.0.attn_q_norm.weight"] != nil,
            bosTokenID: file.metadata["tokenizer.ggml.bos_token_id"]?.integer,
            eosTokenIDs: file.metadata["tokenizer.ggml.eos_token_id"]?.integer.map { [$0] } ?? [])
        try configuration.validate(file: file.path)
        return configuration
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

private struct MetadataReader {
    let file: GGUFFile

    func string(_ key: String) throws -> String {
        guard let value = file.metadata[key]?.string else { throw missing(key) }
        return value
    }
    func number(_ key: String) throws -> Double? { file.metadata[key]?.double }
    func size(_ key: String) throws -> Int {
        guard let value = try optionalSize(key) else { throw missing(key) }
        return value
    }
    func optionalSize(_ key: String) throws -> Int? {
        guard let value = file.metadata[key] else { return nil }
        guard let size = value.integer, size > 0, size < 1 << 31 else {
            throw InputError("not a positive whole number", file: file.path, field: key)
        }
        return size
    }
    private func missing(_ key: String) -> InputError {
        InputError("missing", file: file.path, field: key)
    }
}
