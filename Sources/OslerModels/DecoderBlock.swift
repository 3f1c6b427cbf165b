package import OslerCompute

/// One pre-norm transformer block: `h += attention(norm(h)); h += mlp(norm(h))`. Hidden states are float32.
package struct DecoderBlock: Sendable {
    package var attention: SelfAttention
    package var mlp: GatedMLP
    /// float32 `[D]` each.
    package let attentionNorm: Tensor
    package let mlpNorm: Tensor
    package let epsilon: Float

    package struct Saved: ~Copyable {
        let attentionInput: Normed
        let middle: Tensor
        let mlpInput: Normed
        let attention: SelfAttention.Saved
        let mlp: GatedMLP.Saved
    }

    /// A norm's output `[T, D]` and its statistics `[T]`.
    struct Normed {
        let output: Tensor
        let inverseRMS: Tensor
    }

    /// - Parameters:
    ///   - input: float32 `[T, D]`; backward reads it again.
    ///   - output: float32 `[T, D]`, may not be `input`; nil in recomputation.
    package func forward(
        _ input: Tensor, into output: Tensor?, cache: KeyValueCache.Layer? = nil,
        _ pass: Pass
    ) -> Saved {
        let middle = pass.arena.tensor(.float32, input.shape)
        let attentionInput = normed(input, weight: attentionNorm, pass)
        let attentionSaved = attention.forward(
            attentionInput.output, residual: input, into: middle, cache: cache, pass)
        let mlpInput = normed(middle, weight: mlpNorm, pass)
        let mlpSaved = mlp.forward(mlpInput.output, residual: middle, into: output, pass)
        return Saved(
            attentionInput: attentionInput, middle: middle, mlpInput: mlpInput,
            attention: attentionSaved, mlp: mlpSaved)
    }

    /// Turns the gradient of the output into that of the input, in place, adding to the adapters' gradients on the way.
    /// - Parameters:
    ///   - gradient: float32 `[T, D]`.
    ///   - needsInputGradient: false for the lowest block with adapters: its input's gradient has no reader.
    package func backward(
        _ gradient: Tensor, input: Tensor, needsInputGradient: Bool,
        consuming saved: consuming Saved, _ pass: Pass
    ) {
        let arena = pass.arena
        let mark = arena.used
        let mlpTerms = mlp.backward(
            gradient, input: saved.mlpInput.output, consuming: saved.mlp, pass)
        addNormGradient(
            mlpTerms, input: saved.middle, saved: saved.mlpInput, weight: mlpNorm, to: gradient,
            pass)
        arena.release(to: mark)
        let terms = attention.backward(
            gradient, input: saved.attentionInput.output, consuming: saved.attention, pass)
        if needsInputGradient {
            addNormGradient(
                terms, input: input, saved: saved.attentionInput, weight: attentionNorm,
                to: gradient, pass)
        }
        arena.release(to: mark)
    }

    private func normed(_ input: Tensor, weight: Tensor, _ pass: Pass) -> Normed {
        let output = pass.arena.activation(input.shape)
        let inverseRMS = pass.arena.tensor(.float32, [input.rowCount])
        pass.backend.rmsNorm(
            input, weight: weight, epsilon: epsilon, output: output, inverseRMS: inverseRMS)
        return Normed(output: output, inverseRMS: inverseRMS)
    }

    private func addNormGradient(
        _ terms: InputGradientTerms, input: Tensor, saved: Normed, weight: Tensor,
        to gradient: Tensor, _ pass: Pass
    ) {
        let normedGradient = pass.arena.tensor(.float32, gradient.shape)
        terms.write(to: normedGradient, pass)
        pass.backend.rmsNormBackward(
            normedGradient, input: input, weight: weight, inverseRMS: saved.inverseRMS,
            accumulating: true, inputGradient: gradient)
    }
}
