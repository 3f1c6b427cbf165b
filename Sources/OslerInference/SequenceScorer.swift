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

    /// What is known of the tokens of a continuation.
    package struct Continuation: Sendable, Equatable {
        package var logProbabilities: [Float]
        /// Each token is the most probable one.
        package var isGreedy: Bool
    }

    /// For each sequence its tokens after the first `known`, which is at least one, given those before them. Only their
    /// rows pass the head.
    package func continuations(_ sequences: [(ids: [Int32], known: Int)]) throws -> [Continuation] {
        precondition(sequences.allSatisfy { $0.known > 0 && $0.known < $0.ids.count })
        guard !sequences.isEmpty else { return [] }
        try model.reservePositions(sequences.map(\.ids.count).max() ?? 1)
        var batch = TokenBatch(sequences: sequences.map(\.ids), allTargets: true)
        var start = 0
        for (ids, known) in sequences {
            for place in start..<start + known - 1 { batch.targets[place] = -1 }
            start += ids.count
        }
        let arena = try reserve(tokens: batch.ids.count)
        let rows = try model.lossRows(batch, usesAdapters: usesAdapters, arena: arena)
        guard rows.logProbabilities.allSatisfy(\.isFinite) else { throw CausalLM.notFinite }
        var row = 0
        return sequences.map { ids, known in
            let own = row..<row + ids.count - known
            row = own.upperBound
            return Continuation(
                logProbabilities: Array(rows.logProbabilities[own]),
                isGreedy: rows.isTop[own].allSatisfy { $0 == 1 })
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
