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
        /// Of the attention's norm and the feed-forward layer's, float32 `[T]`. Their outputs are cheaper to compute
        /// again than to keep.
        let inverseRMS: Tensor
        let mlpInverseRMS: Tensor
        let middle: Tensor
        let attention: SelfAttention.Saved
        let mlp: GatedMLP.Saved
    }

    /// - Parameters:
    ///   - input: float32 `[T, D]`; backward reads it again.
    ///   - output: float32 `[T, D]`, may not be `input`; nil in recomputation.
    package func forward(
        _ input: Tensor, into output: Tensor?, cache: KeyValueCache.Layer? = nil,
        _ pass: Pass
    ) -> Saved {
        let arena = pass.arena
        let middle = arena.tensor(.float32, input.shape)
        let inverseRMS = arena.tensor(.float32, [input.rowCount])
        let mlpInverseRMS = arena.tensor(.float32, [input.rowCount])
        let attentionSaved = attention.forward(
            { normed(input, weight: attentionNorm, inverseRMS: inverseRMS, pass) },
            residual: input, into: middle, cache: cache, pass)
        let mlpSaved = mlp.forward(
            { normed(middle, weight: mlpNorm, inverseRMS: mlpInverseRMS, pass) },
            residual: middle, into: output, pass)
        return Saved(
            inverseRMS: inverseRMS, mlpInverseRMS: mlpInverseRMS, middle: middle,
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
        let (middle, inverseRMS, mlpInverseRMS) =
            (saved.middle, saved.inverseRMS, saved.mlpInverseRMS)
        let mlpTerms = mlp.backward(
            gradient, input: { normed(middle, weight: mlpNorm, inverseRMS: mlpInverseRMS, pass) },
            consuming: saved.mlp, pass)
        addNormGradient(
            mlpTerms, input: middle, weight: mlpNorm, inverseRMS: mlpInverseRMS, to: gradient, pass)
        arena.release(to: mark)
        let terms = attention.backward(
            gradient, input: { normed(input, weight: attentionNorm, inverseRMS: inverseRMS, pass) },
            consuming: saved.attention, pass)
        if needsInputGradient {
            addNormGradient(
                terms, input: input, weight: attentionNorm, inverseRMS: inverseRMS, to: gradient,
                pass)
        }
        arena.release(to: mark)
    }

    /// Activation type `[T, D]`; writes the statistics too.
    private func normed(
        _ input: Tensor, weight: Tensor, inverseRMS: Tensor, _ pass: Pass
    ) -> Tensor {
        let output = pass.arena.activation(input.shape)
        pass.backend.rmsNorm(
            input, weight: weight, epsilon: epsilon, output: output, inverseRMS: inverseRMS)
        return output
    }

    private func addNormGradient(
        _ terms: InputGradientTerms, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        to gradient: Tensor, _ pass: Pass
    ) {
        let normedGradient = pass.arena.tensor(.float32, gradient.shape)
        terms.write(to: normedGradient, pass)
        pass.backend.rmsNormBackward(
            normedGradient, input: input, weight: weight, inverseRMS: inverseRMS,
            accumulating: true, inputGradient: gradient)
    }
}
