package import OslerModels

/// Log probabilities of whole sequences, several at a time, with memory that is taken once and grows when it must.
package final class SequenceScorer {
    private let model: CausalLM
    private let usesAdapters: Bool
    private var arena: Arena?
    private var arenaTokens = 0

    package init(_ model: CausalLM, usesAdapters: Bool = true) {
        (self.model, self.usesAdapters) = (model, usesAdapters)
    }

    /// For each sequence the log probability of each token after the first, given those before it.
    package func score(_ sequences: [[Int32]]) throws -> [[Float]] {
        let scored = sequences.filter { $0.count > 1 }
        guard !scored.isEmpty else { return sequences.map { _ in [] } }
        try model.reservePositions(scored.map(\.count).max() ?? 1)
        let batch = TokenBatch(sequences: scored, allTargets: true)
        let arena = try reserve(tokens: batch.ids.count)
        var values = try model.lossRows(batch, usesAdapters: usesAdapters, arena: arena)
            .logProbabilities[...]
        guard values.allSatisfy(\.isFinite) else { throw CausalLM.notFinite }
        return sequences.map { ids in
            let own = Array(values.prefix(max(0, ids.count - 1)))
            values = values.dropFirst(own.count)
            return own
        }
    }

    /// An arena for batches of `tokens` tokens, however they are cut into sequences.
    private func reserve(tokens: Int) throws -> Arena {
        if let arena, tokens <= arenaTokens { return arena }
        arena = nil
        arenaTokens = max(tokens, arenaTokens * 2)
        let bytes = try CausalLM.lossArenaBytes(
            model.configuration, backend: model.backend, lora: model.adapter?.configuration,
            tokens: arenaTokens)
        let new = try Arena(backend: model.backend, byteCount: bytes)
        arena = new
        return new
    }
}
