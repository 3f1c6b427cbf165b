package import OslerModels
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// `log softmax(logits)[id]`, summed in double precision.
func logProbability(of id: Int32, _ logits: [Float]) -> Float {
    let top = Double(logits.max() ?? 0)
    let sum = logits.reduce(0.0) { $0 + exp(Double($1) - top) }
    return Float(Double(logits[Int(id)]) - top - log(sum))
}

extension CausalLM {
    /// The log probability of each token after the first, given those before it.
    package func score(_ ids: [Int32], usesAdapters: Bool = true) throws -> [Float] {
        guard ids.count > 1 else { return [] }
        let batch = TokenBatch(sequences: [ids], allTargets: true)
        let bytes = try CausalLM.lossArenaBytes(
            configuration, backend: backend, lora: adapter?.configuration, tokens: ids.count)
        let arena = try Arena(backend: backend, byteCount: bytes)
        return try lossRows(batch, usesAdapters: usesAdapters, arena: arena).logProbabilities
    }
}
