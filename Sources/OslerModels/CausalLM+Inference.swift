internal import OslerCompute
package import OslerFormats

extension CausalLM {
    /// Logits `[rows, V]` of chosen rows of a flattened batch, without a cache.
    package func logits(
        _ batch: TokenBatch, rows: [Int]? = nil, usesAdapters: Bool = true, arena: Arena
    ) throws -> [Float] {
        try arena.scope {
            let passes = makePasses(
                positions: batch.positions, sequences: SequenceTable(lengths: batch.lengths),
                arena: arena, usesAdapters: usesAdapters)
            let hidden = hiddenStates(batch.ids, passes)
            return try logits(hidden, rows: rows ?? Array(batch.ids.indices), passes.last)
        }
    }

    /// Feeds new tokens of some sequences to the cache and returns the logits `[sequences, V]` after each one's last.
    ///
    /// - Parameter tokens: sequence number in the cache and its new tokens, at least one each.
    package func advance(
        _ tokens: [(sequence: Int, ids: [Int32])], cache: KeyValueCache, usesAdapters: Bool = true,
        arena: Arena
    ) throws -> [Float] {
        var logits: [Float] = []
        try advance(
            tokens, cache: cache, usesAdapters: usesAdapters, arena: arena, logits: &logits)
        return logits
    }

    /// The same into memory that is kept from token to token.
    package func advance(
        _ tokens: [(sequence: Int, ids: [Int32])], cache: KeyValueCache, usesAdapters: Bool = true,
        arena: Arena, logits: inout [Float]
    ) throws {
        try arena.scope {
            var (entries, positions, lastRows): ([SequenceTable.Entry], [Int32], [Int]) =
                ([], [], [])
            for (sequence, ids) in tokens {
                let start = cache.lengths[sequence]
                precondition(!ids.isEmpty && start + ids.count <= cache.capacity)
                entries.append(
                    .init(
                        queryOffset: positions.count, queryCount: ids.count,
                        keyOffset: sequence * cache.capacity, keyCount: start + ids.count))
                positions += (start..<start + ids.count).map { Int32($0) }
                lastRows.append(positions.count - 1)
                cache.lengths[sequence] = start + ids.count
            }
            let passes = makePasses(
                positions: positions, sequences: SequenceTable(entries: entries), arena: arena,
                usesAdapters: usesAdapters)
            let hidden = hiddenStates(tokens.flatMap(\.ids), cache: cache, passes)
            let result = logitsTensor(hidden, rows: lastRows, passes.last)
            if logits.count != result.count {
                logits = [Float](repeating: 0, count: result.count)
            }
            try logits.withUnsafeMutableBytes { try backend.read(result, into: $0) }
            try Self.check(logits)
        }
    }

    private func logits(_ hidden: Tensor, rows: [Int], _ pass: Pass) throws -> [Float] {
        let logits = try backend.floats(logitsTensor(hidden, rows: rows, pass))
        try Self.check(logits)
        return logits
    }

    private func logitsTensor(_ hidden: Tensor, rows: [Int], _ pass: Pass) -> Tensor {
        let normed = finalNormed(hidden, rows: rows.map { Int32($0) }, pass)
        let logits = pass.arena.tensor(.float32, [rows.count, configuration.vocabularySize])
        backend.multiply([.forward(normed.output, head)], adding: nil, bias: nil, into: logits)
        return logits
    }

    /// - Throws: when one of them is no finite number.
    private static func check(_ logits: [Float]) throws {
        let largest = logits.reduce(0) { max($0, $1.bitPattern & 0x7fff_ffff) }
        guard largest < Float.infinity.bitPattern else { throw notFinite }
    }

    /// What comes of damaged weights.
    package static var notFinite: InputError {
        InputError(
            "the model's answers are not finite numbers", field: "weights",
            remedy: "the model or its adapter is damaged: fetch it again")
    }
}

extension CausalLM {
    /// Lets sequences have `positions` tokens: the rotary tables grow when they are shorter.
    ///
    /// - Throws: when the model itself has fewer positions.
    package func reservePositions(_ positions: Int) throws {
        guard positions > rotary.positions else { return }
        guard positions <= configuration.maxPositions else {
            throw InputError(
                "\(positions) tokens, the model has \(configuration.maxPositions) positions",
                remedy: "give shorter sequences")
        }
        let grown = min(configuration.maxPositions, max(positions, rotary.positions * 2))
        rotaries = try RotaryTables.make(
            configuration, positions: grown, devices: placement.devices, backend: backend)
    }
}
