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
        let reader = ModelConfigurationReader(json, file: file)
        let type = try reader.string("model_type")
        guard let family = ModelFamily(rawValue: type) else {
            throw InputError(
                "unknown model type \"\(type)\"", file: file, field: "model_type",
                remedy: "Osler knows \(ModelFamily.known)")
        }
        if let act = try reader.optionalString("hidden_act"), act != "silu" {
            throw InputError(
                "activation \"\(act)\" where \(type) has \"silu\"", file: file,
                field: "hidden_act", remedy: "use a model of the families \(ModelFamily.known)")
        }
        if try reader.flag("use_sliding_window") {
            throw InputError(
                "sliding-window attention is not supported", file: file,
                field: "use_sliding_window", remedy: "use a model without it")
        }
        let hidden = try reader.size("hidden_size")
        let heads = try reader.size("num_attention_heads")
        let headWidth = try reader.optionalSize("head_dim") ?? hidden / heads
        let keyValueHeads = try reader.optionalSize("num_key_value_heads") ?? heads
        let attentionBias = try reader.flag("attention_bias")
        self.init(
            family: family, hiddenSize: hidden,
            intermediateSize: try reader.size("intermediate_size"),
            layers: try reader.size("num_hidden_layers"), heads: heads,
            keyValueHeads: keyValueHeads, headWidth: headWidth,
            vocabularySize: try reader.size("vocab_size"),
            maxPositions: try reader.optionalSize("max_position_embeddings") ?? 2048,
            epsilon: Float(try reader.optionalNumber("rms_norm_eps") ?? 1e-6),
            rotary: try RotaryConfiguration(reader),
            tiedHead: try reader.flag("tie_word_embeddings"),
            attentionBias: family == .qwen2 || attentionBias,
            outputBias: family != .qwen2 && attentionBias,
            mlpBias: try reader.flag("mlp_bias"), headNorms: family == .qwen3,
            bosTokenID: json["bos_token_id"]?.integer,
            eosTokenIDs: json["eos_token_id"].map(ModelConfigurationReader.ids) ?? [])
        try validate(reader, headWidth: "head_dim", keyValueHeads: "num_key_value_heads")
    }

    /// The widest head: models so far have at most 256.
    static let largestHeadWidth = 1024

    /// Refuses combinations that the layers can't have; sizes are held against the weights later.
    ///
    /// - Parameters:
    ///   - headWidthKey: what the file calls the head width.
    ///   - keyValueHeadsKey: what it calls the number of key/value heads.
    func validate(
        _ reader: ModelConfigurationReader, headWidth headWidthKey: String,
        keyValueHeads keyValueHeadsKey: String
    ) throws {
        guard heads % keyValueHeads == 0 else {
            throw reader.error(
                keyValueHeadsKey,
                "\(heads) attention heads can't share \(keyValueHeads) key/value heads")
        }
        guard headWidth > 0, headWidth % 8 == 0, headWidth <= Self.largestHeadWidth else {
            throw reader.error(
                headWidthKey,
                "heads of width \(headWidth): Osler computes with multiples of 8 up to \(Self.largestHeadWidth)",
                remedy: "use another model")
        }
        let frequencies = rotary.inverseFrequencies(headWidth: headWidth)
        guard frequencies.allSatisfy({ ($0 * Float(maxPositions)).isFinite }) else {
            throw reader.error("rope", "the rotary angles of its numbers are beyond float32")
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
