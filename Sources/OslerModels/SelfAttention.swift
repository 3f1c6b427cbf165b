package import OslerCompute
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Grouped-query causal self-attention with rotary positions; per-head norms on queries and keys where the family has
/// them (Qwen3).
package struct SelfAttention: Sendable {
    package var query: Linear
    package var key: Linear
    package var value: Linear
    package var output: Linear
    /// float32 `[h]`, both or neither.
    package let queryNorm: Tensor?
    package let keyNorm: Tensor?
    package let heads: Int
    package let keyValueHeads: Int
    package let headWidth: Int
    package let epsilon: Float

    package struct Saved: ~Copyable {
        /// After norm and rotation, `[T, H, h]`, `[T, K, h]`.
        let query: Tensor
        let key: Tensor
        let value: Tensor
        let attended: Tensor
        let logSumExp: Tensor
        let queryNorm: HeadNorm?
        let keyNorm: HeadNorm?
        let inputSaved: Projections.Saved
        let outputSaved: Projections.Saved
    }

    /// A per-head norm's input and statistics.
    struct HeadNorm {
        let input: Tensor
        let inverseRMS: Tensor
    }

    private var scale: Float { 1 / sqrtf(Float(headWidth)) }

    /// `result = residual + attention(input) W_o`.
    /// - Parameters:
    ///   - input: gives the normed hidden states `[T, D]`, activation type.
    ///   - cache: keys and values of earlier tokens; the new ones are stored there and attention reads from there.
    package func forward(
        _ input: () -> Tensor, residual: Tensor, into result: Tensor,
        cache: KeyValueCache.Layer? = nil, _ pass: Pass
    ) -> Saved {
        let (arena, backend, tokens) = (pass.arena, pass.backend, residual.rowCount)
        let q = arena.activation([tokens, heads, headWidth])
        let k = arena.activation([tokens, keyValueHeads, headWidth])
        let v = arena.activation([tokens, keyValueHeads, headWidth])
        let inputSaved = inputProjections.forward(
            input, rows: tokens,
            into: [
                q.reshaped([tokens, query.outputWidth]), k.reshaped([tokens, key.outputWidth]),
                v.reshaped([tokens, value.outputWidth]),
            ], pass)
        let (rotatedQuery, queryNormSaved) = rotate(q, norm: queryNorm, pass)
        let (rotatedKey, keyNormSaved) = rotate(k, norm: keyNorm, pass)

        let attended = arena.activation([tokens, heads, headWidth])
        let logSumExp = arena.tensor(.float32, [heads, tokens])
        var (allKeys, allValues) = (rotatedKey, v)
        if let cache {
            cache.store(keys: rotatedKey, values: v, pass)
            (allKeys, allValues) = (cache.keys, cache.values)
        }
        backend.attention(
            query: rotatedQuery, key: allKeys, value: allValues, sequences: pass.sequences,
            scale: scale, output: attended, logSumExp: logSumExp)
        let outputSaved = Projections([output]).forward(
            { attended.reshaped([tokens, output.inputWidth]) }, rows: tokens, adding: residual,
            into: [result], pass)
        return Saved(
            query: rotatedQuery, key: rotatedKey, value: v, attended: attended,
            logSumExp: logSumExp, queryNorm: queryNormSaved, keyNorm: keyNormSaved,
            inputSaved: inputSaved, outputSaved: outputSaved)
    }

    /// Adds to the adapters' gradients and returns the terms of the gradient of the input.
    /// - Parameter input: asked for only when a projection of it has an adapter.
    package func backward(
        _ resultGradient: Tensor, input: () -> Tensor, consuming saved: consuming Saved,
        _ pass: Pass
    ) -> InputGradientTerms {
        let (arena, backend, tokens) = (pass.arena, pass.backend, resultGradient.rowCount)
        let attendedGradient = arena.activation([tokens, heads, headWidth])
        let attended = saved.attended.reshaped([tokens, output.inputWidth])
        Projections([output]).backward(
            [resultGradient], input: { attended }, consuming: saved.outputSaved, pass
        ).write(to: attendedGradient.reshaped([tokens, output.inputWidth]), pass)

        let dq = arena.activation([tokens, heads, headWidth])
        let dk = arena.activation([tokens, keyValueHeads, headWidth])
        let dv = arena.activation([tokens, keyValueHeads, headWidth])
        backend.attentionBackward(
            attendedGradient, query: saved.query, key: saved.key, value: saved.value,
            output: saved.attended, logSumExp: saved.logSumExp, sequences: pass.sequences,
            scale: scale, queryGradient: dq, keyGradient: dk, valueGradient: dv)
        let queryGradient = rotateBackward(dq, norm: queryNorm, saved: saved.queryNorm, pass)
        let keyGradient = rotateBackward(dk, norm: keyNorm, saved: saved.keyNorm, pass)

        return inputProjections.backward(
            [
                queryGradient.reshaped([tokens, query.outputWidth]),
                keyGradient.reshaped([tokens, key.outputWidth]),
                dv.reshaped([tokens, value.outputWidth]),
            ], input: input, consuming: saved.inputSaved, pass)
    }

    private var inputProjections: Projections { Projections([query, key, value]) }

    /// Norm (where there is one) and rotation of `[T, heads, h]`; in place when there is no norm.
    private func rotate(
        _ tensor: Tensor, norm: Tensor?, _ pass: Pass
    ) -> (Tensor, HeadNorm?) {
        var (result, saved): (Tensor, HeadNorm?) = (tensor, nil)
        if let norm {
            let rows = [tensor.shape[0] * tensor.shape[1], headWidth]
            result = pass.arena.activation(tensor.shape)
            let inverseRMS = pass.arena.tensor(.float32, [rows[0]])
            pass.backend.rmsNorm(
                tensor.reshaped(rows), weight: norm, epsilon: epsilon,
                output: result.reshaped(rows), inverseRMS: inverseRMS)
            saved = HeadNorm(input: tensor.reshaped(rows), inverseRMS: inverseRMS)
        }
        pass.backend.rope(
            result, positions: pass.positions, cosine: pass.rotary.cosine, sine: pass.rotary.sine,
            inverse: false)
        return (result, saved)
    }

    private func rotateBackward(
        _ gradient: Tensor, norm: Tensor?, saved: HeadNorm?, _ pass: Pass
    ) -> Tensor {
        pass.backend.rope(
            gradient, positions: pass.positions, cosine: pass.rotary.cosine,
            sine: pass.rotary.sine, inverse: true)
        guard let norm, let saved else { return gradient }
        let result = pass.arena.activation(gradient.shape)
        pass.backend.rmsNormBackward(
            gradient.reshaped(saved.input.shape), input: saved.input, weight: norm,
            inverseRMS: saved.inverseRMS, accumulating: false,
            inputGradient: result.reshaped(saved.input.shape))
        return result
    }
}
