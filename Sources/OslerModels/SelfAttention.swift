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
        let querySaved: Linear.Saved
        let keySaved: Linear.Saved
        let valueSaved: Linear.Saved
        let outputSaved: Linear.Saved
    }

    /// A per-head norm's input and statistics.
    struct HeadNorm {
        let input: Tensor
        let inverseRMS: Tensor
    }

    private var scale: Float { 1 / sqrtf(Float(headWidth)) }

    /// `result = residual + attention(input) W_o`.
    /// - Parameters:
    ///   - input: the normed hidden states `[T, D]`, activation type.
    ///   - cache: keys and values of earlier tokens; the new ones are stored there and attention reads from there.
    package func forward(
        _ input: Tensor, residual: Tensor, into result: Tensor, cache: KeyValueCache.Layer? = nil,
        _ pass: Pass
    ) -> Saved {
        let (arena, backend, tokens) = (pass.arena, pass.backend, input.rowCount)
        let q = arena.activation([tokens, heads, headWidth])
        let k = arena.activation([tokens, keyValueHeads, headWidth])
        let v = arena.activation([tokens, keyValueHeads, headWidth])
        let querySaved = query.forward(input, into: q.reshaped([tokens, query.outputWidth]), pass)
        let keySaved = key.forward(input, into: k.reshaped([tokens, key.outputWidth]), pass)
        let valueSaved = value.forward(input, into: v.reshaped([tokens, value.outputWidth]), pass)
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
        let outputSaved = output.forward(
            attended.reshaped([tokens, output.inputWidth]), adding: residual, into: result, pass)
        return Saved(
            query: rotatedQuery, key: rotatedKey, value: v, attended: attended,
            logSumExp: logSumExp, queryNorm: queryNormSaved, keyNorm: keyNormSaved,
            querySaved: querySaved, keySaved: keySaved, valueSaved: valueSaved,
            outputSaved: outputSaved)
    }

    /// Adds to the adapters' gradients and returns the terms of the gradient of `input`.
    package func backward(
        _ resultGradient: Tensor, input: Tensor, consuming saved: consuming Saved,
        _ pass: Pass
    ) -> InputGradientTerms {
        let (arena, backend, tokens) = (pass.arena, pass.backend, input.rowCount)
        let attendedGradient = arena.activation([tokens, heads, headWidth])
        output.backward(
            resultGradient, input: saved.attended.reshaped([tokens, output.inputWidth]),
            consuming: saved.outputSaved, pass
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

        let queryTerms = query.backward(
            queryGradient.reshaped([tokens, query.outputWidth]), input: input,
            consuming: saved.querySaved, pass)
        let keyTerms = key.backward(
            keyGradient.reshaped([tokens, key.outputWidth]), input: input,
            consuming: saved.keySaved, pass)
        let valueTerms = value.backward(
            dv.reshaped([tokens, value.outputWidth]), input: input, consuming: saved.valueSaved,
            pass)
        return queryTerms + keyTerms + valueTerms
    }

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
