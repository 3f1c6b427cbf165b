internal import OslerCompute

extension CausalLM {
    /// Puts a model together from weights asked for by transformers' names.
    ///
    /// - Parameters:
    ///   - positions: the longest sequence that will be run, for the rotary tables.
    ///   - placement: where the blocks go; one that is streamed is on its device for a moment while it is made.
    ///   - weight: gives a weight of this name and shape; vectors as float32.
    static func build(
        _ configuration: ModelConfiguration, backend: any Backend, positions: Int,
        placement: Placement = Placement(),
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
        for index in 0..<c.layers {
            try backend.on(placement.device(of: index)) {
                let made = try block(index)
                let isStreamed = placement.streamed.contains(index)
                blocks.append(isStreamed ? try made.packed(by: backend) : made)
            }
        }
        let streams = try BlockStream.make(placement, &blocks, backend: backend)
        guard
            case .dense(let embedding) = try weight(
                "model.embed_tokens.weight", [c.vocabularySize, c.hiddenSize])
        else { preconditionFailure("a quantized embedding") }
        return try backend.on(placement.devices - 1) {
            var head = FrozenMatrix.dense(embedding)
            if !c.tiedHead {
                head = try weight("lm_head.weight", [c.vocabularySize, c.hiddenSize])
            } else if placement.devices > 1 {
                let copy = try backend.tensor(embedding.dtype, embedding.shape)
                backend.copy(embedding, to: copy)
                head = .dense(copy)
            }
            return CausalLM(
                configuration: c, backend: backend, embedding: embedding, blocks: blocks,
                placement: placement, streams: streams,
                finalNorm: try vector("model.norm.weight", c.hiddenSize), head: head,
                rotaries: try RotaryTables.make(
                    c, positions: positions, devices: placement.devices, backend: backend))
        }
    }
}
