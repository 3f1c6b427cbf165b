package import OslerFormats

/// What a decoder is made of: one description for all families. A family's file says how its names map onto it.
package struct ModelConfiguration: Sendable, Equatable {
    package var family: ModelFamily
    /// D
    package var hiddenSize: Int
    /// F
    package var intermediateSize: Int
    package var layers: Int
    /// H
    package var heads: Int
    /// K
    package var keyValueHeads: Int
    /// h
    package var headWidth: Int
    /// V: rows of the embedding, which may exceed the tokenizer's entries.
    package var vocabularySize: Int
    package var maxPositions: Int
    package var epsilon: Float
    package var rotary: RotaryConfiguration
    /// The head is the embedding.
    package var tiedHead: Bool
    /// Biases on the q, k and v projections.
    package var attentionBias: Bool
    /// A bias on the o projection too (Llama's `attention_bias`).
    package var outputBias: Bool
    package var mlpBias: Bool
    /// Per-head RMS norms on queries and keys.
    package var headNorms: Bool
    package var bosTokenID: Int?
    /// Ids that end generation.
    package var eosTokenIDs: [Int]

    package init(
        family: ModelFamily, hiddenSize: Int, intermediateSize: Int, layers: Int, heads: Int,
        keyValueHeads: Int, headWidth: Int, vocabularySize: Int, maxPositions: Int, epsilon: Float,
        rotary: RotaryConfiguration, tiedHead: Bool, attentionBias: Bool = false,
        outputBias: Bool = false, mlpBias: Bool = false, headNorms: Bool = false,
        bosTokenID: Int? = nil, eosTokenIDs: [Int] = []
    ) {
        (self.family, self.hiddenSize, self.intermediateSize) =
            (family, hiddenSize, intermediateSize)
        (self.layers, self.heads, self.keyValueHeads) = (layers, heads, keyValueHeads)
        (self.headWidth, self.vocabularySize) = (headWidth, vocabularySize)
        (self.maxPositions, self.epsilon, self.rotary) = (maxPositions, epsilon, rotary)
        (self.tiedHead, self.attentionBias, self.outputBias) = (tiedHead, attentionBias, outputBias)
        (self.mlpBias, self.headNorms) = (mlpBias, headNorms)
        (self.bosTokenID, self.eosTokenIDs) = (bosTokenID, eosTokenIDs)
    }
}

/// The families that Osler knows, by transformers' `model_type` and GGUF's `general.architecture`.
package enum ModelFamily: String, Sendable, CaseIterable {
    case llama, qwen2, qwen3

    package static var known: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension ModelConfiguration {
    /// Reads transformers' `config.json` (versions 4 and 5: `rope_theta` + `rope_scaling`, or `rope_parameters`).
    package init(json: JSON, file: String) throws {
        let reader = ConfigurationReader(json: json, file: file)
        let type = try reader.string("model_type")
        guard let family = ModelFamily(rawValue: type) else {
            throw InputError(
                "unknown model type \"\(type)\"", file: file, field: "model_type",
                remedy: "Osler knows \(ModelFamily.known)")
        }
        if let act = json["hidden_act"]?.string, act != "silu" {
            throw InputError(
                "activation \"\(act)\" where \(type) has \"silu\"", file: file, field: "hidden_act")
        }
        let hidden = try reader.size("hidden_size")
        let heads = try reader.size("num_attention_heads")
        let headWidth = try reader.optionalSize("head_dim") ?? hidden / heads
        let keyValueHeads = try reader.optionalSize("num_key_value_heads") ?? heads
        let attentionBias = json["attention_bias"]?.bool ?? false
        self.init(
            family: family, hiddenSize: hidden,
            intermediateSize: try reader.size("intermediate_size"),
            layers: try reader.size("num_hidden_layers"), heads: heads,
            keyValueHeads: keyValueHeads, headWidth: headWidth,
            vocabularySize: try reader.size("vocab_size"),
            maxPositions: try reader.optionalSize("max_position_embeddings") ?? 2048,
            epsilon: Float(json["rms_norm_eps"]?.double ?? 1e-6),
            rotary: try reader.rotary(),
            tiedHead: json["tie_word_embeddings"]?.bool ?? false,
            attentionBias: family == .qwen2 || attentionBias,
            outputBias: family != .qwen2 && attentionBias,
            mlpBias: json["mlp_bias"]?.bool ?? false, headNorms: family == .qwen3,
            bosTokenID: json["bos_token_id"]?.integer,
            eosTokenIDs: json["eos_token_id"].map(ConfigurationReader.ids) ?? [])
        if json["use_sliding_window"]?.bool == true {
            throw InputError(
                "sliding-window attention is not supported", file: file,
                field: "use_sliding_window", remedy: "use a model without it")
        }
        try validate(file: file)
    }

    /// Refuses combinations that the layers can't have.
    package func validate(file: String) throws {
        guard heads % keyValueHeads == 0 else {
            throw InputError(
                "\(heads) attention heads can't share \(keyValueHeads) key/value heads", file: file,
                field: "num_key_value_heads")
        }
        guard headWidth % 2 == 0 else {
            throw InputError("odd head width \(headWidth)", file: file, field: "head_dim")
        }
    }

    /// Parameters of the base model.
    package var parameterCount: Int {
        let attention =
            hiddenSize * headWidth * (2 * heads + 2 * keyValueHeads)
            + (attentionBias ? headWidth * (heads + 2 * keyValueHeads) : 0)
            + (outputBias ? hiddenSize : 0) + (headNorms ? 2 * headWidth : 0)
        let mlp =
            3 * hiddenSize * intermediateSize
            + (mlpBias ? 2 * intermediateSize + hiddenSize : 0)
        let embedding = vocabularySize * hiddenSize
        return layers * (attention + mlp + 2 * hiddenSize) + hiddenSize
            + embedding * (tiedHead ? 1 : 2)
    }
}

/// Reads fields of a `config.json`, with errors that name the file and the key.
struct ConfigurationReader {
    let json: JSON
    let file: String

    func string(_ key: String) throws -> String {
        guard let value = json[key]?.string else { throw missing(key, "text") }
        return value
    }

    func size(_ key: String) throws -> Int {
        guard let value = try optionalSize(key) else { throw missing(key, "a whole number") }
        return value
    }

    /// A positive whole number below 2^31: sizes multiply, and must not overflow.
    func optionalSize(_ key: String) throws -> Int? {
        guard let value = json[key], !value.isNull else { return nil }
        guard let size = value.integer, size > 0, size < 1 << 31 else {
            throw InputError("not a positive whole number", file: file, field: key)
        }
        return size
    }

    func rotary() throws -> RotaryConfiguration {
        let parameters = json["rope_parameters"]
        let scaling = parameters ?? json["rope_scaling"] ?? .null
        let theta =
            parameters?["rope_theta"]?.double ?? json["rope_theta"]?.double ?? 10000
        let type = scaling["rope_type"]?.string ?? scaling["type"]?.string ?? "default"
        func number(_ key: String) throws -> Double {
            guard let value = scaling[key]?.double, value > 0 else {
                throw missing("rope_scaling.\(key)", "a positive number")
            }
            return value
        }
        switch type {
        case "default": return RotaryConfiguration(theta: theta)
        case "linear":
            return RotaryConfiguration(theta: theta, scaling: .linear(factor: try number("factor")))
        case "llama3":
            return RotaryConfiguration(
                theta: theta,
                scaling: .llama3(
                    factor: try number("factor"),
                    lowFrequencyFactor: try number("low_freq_factor"),
                    highFrequencyFactor: try number("high_freq_factor"),
                    originalMaxPositions: Int(try number("original_max_position_embeddings"))))
        default:
            throw InputError(
                "unknown rope scaling \"\(type)\"", file: file, field: "rope_scaling",
                remedy: "Osler knows default, linear, llama3")
        }
    }

    /// `eos_token_id` is one id or a list.
    static func ids(_ value: JSON) -> [Int] {
        value.integer.map { [$0] } ?? value.array?.compactMap(\.integer) ?? []
    }

    private func missing(_ key: String, _ what: String) -> InputError {
        InputError("missing, or not \(what)", file: file, field: key)
    }
}
