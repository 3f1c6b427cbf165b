/// The floating-point operations that training a LoRA adapter needs, whatever a program does: what shares of a machine's
/// peak are counted with.
///
/// A multiplication and an addition of a matrix product count as two; norms, activations, softmax and the optimizer are
/// left out. A frozen weight takes 4 a parameter and token: 2 forward, 2 for the gradient of its input, and none for its
/// own. Nothing below the lowest adapter has a gradient. Values that are computed again, to save memory, count once.
package struct TrainingFlops: Sendable, Equatable {
    /// The formula in words.
    package static let formula = """
        frozen linear layers: 4 flops a parameter and token (forward 2, gradient of the input 2; no gradient of the \
        weight), 2 below the lowest adapter; head: 4 a parameter and token in the loss; attention: 12 a visible score, \
        head and element of a head (forward 4, backward 8); LoRA: 6 a parameter and token (4 for A where the input \
        needs no gradient); what is computed again counts once, norms, softmax and optimizer not at all
        """

    /// By what it is for.
    package struct Needed: Sendable, Equatable {
        package var linear = 0
        package var head = 0
        package var attention = 0
        package var lora = 0
        package init(linear: Int = 0, head: Int = 0, attention: Int = 0, lora: Int = 0) {
            (self.linear, self.head, self.attention, self.lora) = (linear, head, attention, lora)
        }
        package var total: Int { linear + head + attention + lora }

        package static func + (a: Self, b: Self) -> Self {
            Self(
                linear: a.linear + b.linear, head: a.head + b.head,
                attention: a.attention + b.attention, lora: a.lora + b.lora)
        }
    }

    /// Of frozen linear layers, for each token.
    package private(set) var linearPerToken = 0
    package private(set) var loraPerToken = 0
    /// For each pair of a query and a key that it sees, over all layers.
    package private(set) var attentionPerScore = 0
    /// For each token in the loss.
    package private(set) var headPerTarget = 0

    /// Those of a model with the adapter that is on it.
    package init(_ model: CausalLM) {
        let c = model.configuration
        // Whether an adapter lies below, so that gradients go further down.
        var continues = false
        for block in model.blocks {
            let (attention, mlp) = (block.attention, block.mlp)
            add([attention.query, attention.key, attention.value], inputGradient: &continues)
            attentionPerScore += (continues ? 12 : 4) * c.heads * c.headWidth
            add([attention.output], inputGradient: &continues)
            add([mlp.gate, mlp.up], inputGradient: &continues)
            add([mlp.down], inputGradient: &continues)
        }
        headPerTarget = (continues ? 4 : 2) * c.hiddenSize * c.vocabularySize
    }

    /// Counts layers with a common input, and notes whether what they feed has to hand gradients down to them.
    private mutating func add(_ layers: [Linear], inputGradient continues: inout Bool) {
        for layer in layers {
            linearPerToken += (continues ? 4 : 2) * layer.inputWidth * layer.outputWidth
            guard let rank = layer.lora?.rank else { continue }
            loraPerToken += rank * ((continues ? 6 : 4) * layer.inputWidth + 6 * layer.outputWidth)
        }
        continues = continues || layers.contains { $0.lora != nil }
    }

    /// What forward, loss and backward of a batch need.
    package func needed(_ batch: TokenBatch) -> Needed {
        let tokens = batch.ids.count
        let scores = batch.lengths.reduce(0) { $0 + $1 * ($1 + 1) / 2 }
        return Needed(
            linear: tokens * linearPerToken, head: batch.targetCount * headPerTarget,
            attention: scores * attentionPerScore, lora: tokens * loraPerToken)
    }
}
