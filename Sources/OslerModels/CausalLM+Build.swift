internal import OslerCompute

extension CausalLM {
    /// Puts a model together from weights asked for by transformers' names.
    ///
    /// - Parameters:
    ///   - positions: the longest sequence that will be run, for the rotary tables.
    ///   - weight: gives a weight of this name and shape; vectors as float32.
    static func build(
        _ configuration: ModelConfiguration, backend: any Backend, positions: Int,
        weight: (_ name: String, _ shape: [Int]) throws -> FrozenMatrix
    ) throws -> CausalLM {
        let c = configuration
        func vector(_ name: String, _ count: Int) throws -> Tensor {
            guard case .dense(let tensor) = try weight(name, [count]) else {
                preconditionFailure("a quantized vector")
            }
            return tensor
        }
        func linear(_ module: String, _ output: Int, _ input: Int, bias: Bool) throws -> Linear {
            Linear(
                name: module, weight: try weight(module + ".weight", [output, input]),
                bias: bias ? try vector(module + ".bias", output) : nil)
        }
        let (queryWidth, keyWidth) = (c.heads * c.headWidth, c.keyValueHeads * c.headWidth)
        func block(_ index: Int) throws -> DecoderBlock {
            let prefix = "model.layers.\(index)"
            let attention = prefix + ".self_attn"
            return DecoderBlock(
                attention: SelfAttention(
                    query: try linear(
                        attention + ".q_proj", queryWidth, c.hiddenSize, bias: c.attentionBias),
                    key: try linear(
                        attention + ".k_proj", keyWidth, c.hiddenSize, bias: c.attentionBias),
                    value: try linear(
                        attention + ".v_proj", keyWidth, c.hiddenSize, bias: c.attentionBias),
                    output: try linear(
                        attention + ".o_proj", c.hiddenSize, queryWidth, bias: c.outputBias),
                    queryNorm: c.headNorms
                        ? try vector(attention + ".q_norm.weight", c.headWidth) : nil,
                    keyNorm: c.headNorms
                        ? try vector(attention + ".k_norm.weight", c.headWidth) : nil,
                    heads: c.heads, keyValueHeads: c.keyValueHeads, headWidth: c.headWidth,
                    epsilon: c.epsilon),
                mlp: GatedMLP(
                    gate: try linear(
                        prefix + ".mlp.gate_proj", c.intermediateSize, c.hiddenSize,
                        bias: c.mlpBias),
                    up: try linear(
                        prefix + ".mlp.up_proj", c.intermediateSize, c.hiddenSize, bias: c.mlpBias),
                    down: try linear(
                        prefix + ".mlp.down_proj", c.hiddenSize, c.intermediateSize,
                        bias: c.mlpBias)),
                attentionNorm: try vector(prefix + ".input_layernorm.weight", c.hiddenSize),
                mlpNorm: try vector(prefix + ".post_attention_layernorm.weight", c.hiddenSize),
                epsilon: c.epsilon)
        }
        // Not reserved: the files may have fewer layers than the configuration claims.
        var blocks: [DecoderBlock] = []
        for index in 0..<c.layers { blocks.append(try block(index)) }
        guard
            case .dense(let embedding) = try weight(
                "model.embed_tokens.weight", [c.vocabularySize, c.hiddenSize])
        else { preconditionFailure("a quantized embedding") }
        let head =
            c.tiedHead
            ? .dense(embedding) : try weight("lm_head.weight", [c.vocabularySize, c.hiddenSize])
        return CausalLM(
            configuration: c, backend: backend, embedding: embedding, blocks: blocks,
            finalNorm: try vector("model.norm.weight", c.hiddenSize), head: head,
            rotary: try RotaryTables(
                c.rotary, headWidth: c.headWidth, positions: positions, backend: backend))
    }
}
