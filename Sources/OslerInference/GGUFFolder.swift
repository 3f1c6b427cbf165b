internal import OslerFormats
internal import OslerModels

/// What a Hugging Face folder needs and a GGUF file says in its metadata.
enum GGUFFolder {
    /// A `config.json`, with the keys that transformers reads since version 4.
    static func config(
        _ configuration: ModelConfiguration, file: GGUFFile
    ) throws -> JSON.Object {
        let c = configuration
        let architectures = [
            ModelFamily.llama: "LlamaForCausalLM", .qwen2: "Qwen2ForCausalLM",
            .qwen3: "Qwen3ForCausalLM",
        ]
        var config: JSON.Object = [
            "architectures": [.string(architectures[c.family] ?? "")],
            "model_type": .string(c.family.rawValue), "vocab_size": .integer(c.vocabularySize),
            "hidden_size": .integer(c.hiddenSize),
            "intermediate_size": .integer(c.intermediateSize),
            "num_hidden_layers": .integer(c.layers), "num_attention_heads": .integer(c.heads),
            "num_key_value_heads": .integer(c.keyValueHeads), "head_dim": .integer(c.headWidth),
            "max_position_embeddings": .integer(c.maxPositions),
            "rms_norm_eps": .number(Double(c.epsilon)), "hidden_act": "silu",
            "tie_word_embeddings": .bool(c.tiedHead), "rope_theta": .number(c.rotary.theta),
            "rope_scaling": try scaling(c, file: file),
        ]
        if c.family == .llama {
            config["attention_bias"] = .bool(c.attentionBias)
            config["mlp_bias"] = .bool(c.mlpBias)
        }
        for (key, value) in ids(configuration, file).pairs { config[key] = value }
        return config
    }

    private static func ids(_ configuration: ModelConfiguration, _ file: GGUFFile) -> JSON.Object {
        var ids: JSON.Object = [
            "bos_token_id": configuration.bosTokenID.map { .integer($0) } ?? .null,
            "eos_token_id": configuration.eosTokenIDs.first.map { .integer($0) } ?? .null,
        ]
        ids["pad_token_id"] = file.metadata["tokenizer.ggml.padding_token_id"]
        return ids
    }

    private static func scaling(_ c: ModelConfiguration, file: GGUFFile) throws -> JSON {
        switch c.rotary.scaling {
        case .none: return .null
        case .linear(let factor): return ["rope_type": "linear", "factor": .number(factor)]
        case .llama3(let factor, let low, let high, let original):
            return llama3(factor, low, high, original)
        case .divisors:
            // Llama 3.1 and 3.2: the only makers of such files so far.
            let wanted = c.rotary.inverseFrequencies(headWidth: c.headWidth)
            for factor in [8.0, 32.0] {
                let candidate = RotaryConfiguration(
                    theta: c.rotary.theta,
                    scaling: .llama3(
                        factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                        originalMaxPositions: 8192))
                let found = candidate.inverseFrequencies(headWidth: c.headWidth)
                if zip(found, wanted).allSatisfy({ abs($0 - $1) <= 1e-5 * $1 }) {
                    return llama3(factor, 1, 4, 8192)
                }
            }
            throw InputError(
                "these rope frequencies are not those of Llama 3.1 or 3.2", file: file.path,
                field: "rope_freqs.weight", remedy: "use the model's Hugging Face folder")
        }
    }

    private static func llama3(
        _ factor: Double, _ low: Double, _ high: Double, _ original: Int
    ) -> JSON {
        [
            "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": .number(low),
            "high_freq_factor": .number(high),
            "original_max_position_embeddings": .integer(original),
        ]
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json` and `generation_config.json`.
    static func writeTokenizer(
        of file: GGUFFile, _ configuration: ModelConfiguration, into folder: String
    ) throws {
        let tokenizer = try GGUFTokenizer(file)
        func write(_ json: JSON, _ name: String, indent: Int?) throws {
            try AtomicFile.write(
                json.serialized(indent: indent, ensureASCII: false) + "\n",
                to: FileSystem.join(folder, name))
        }
        try write(tokenizer.json, "tokenizer.json", indent: 2)
        try write(tokenizer.configuration, "tokenizer_config.json", indent: 2)
        try write(.object(ids(configuration, file)), "generation_config.json", indent: 2)
    }
}
