internal import OslerCompute
package import OslerModels

/// Log probabilities of whole sequences, several at a time, with memory that is taken once and grows when it must.
package final class SequenceScorer {
    private let model: CausalLM
    private let usesAdapters: Bool
    private var arena: Arena?
    private var arenaTokens = 0
    private var nextArena: Arena?
    private var nextArenaTokens = 0

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
        try model.reservePositions(sequences.map { $0.ids.count - 1 }.max() ?? 1)
        // Nothing follows the last token: it is not read.
        let read = sequences.map { Array($0.ids.dropLast()) }
        var batch = TokenBatch(sequences: read, allTargets: false)
        var start = 0
        for ((ids, known), length) in zip(sequences, batch.lengths) {
            for place in known - 1..<length { batch.targets[start + place] = ids[place + 1] }
            start += length
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

    /// The log probability of every token of the vocabulary after `ids`.
    package func next(after ids: [Int32]) throws -> [Double] {
        try model.reservePositions(ids.count)
        let bytes = try model.inferenceArenaBytes(tokens: ids.count, rows: 1)
        if nextArena == nil || ids.count > nextArenaTokens {
            nextArena = nil
            nextArena = try Arena(backend: model.backend, byteCounts: bytes)
            nextArenaTokens = ids.count
        }
        guard let nextArena else { return [] }
        let logits = try model.logits(
            TokenBatch(sequences: [ids], allTargets: false), rows: [ids.count - 1],
            usesAdapters: usesAdapters, arena: nextArena)
        return logSoftmax(logits[...])
    }

    /// An arena for batches of `tokens` tokens, however they are cut into sequences.
    private func reserve(tokens: Int) throws -> Arena {
        if let arena, tokens <= arenaTokens { return arena }
        arena = nil
        arenaTokens = max(tokens, arenaTokens * 2)
        let new = try Arena(
            backend: model.backend, byteCounts: try model.lossArenaBytes(tokens: arenaTokens))
        arena = new
        return new
    }
}
