package import OslerCompute

/// One flattened micro-batch: sequences laid end to end, no padding.
package struct TokenBatch: Sendable, Equatable {
    package var ids: [Int32]
    /// Position in the token's own sequence.
    package var positions: [Int32]
    /// The next token where it counts in the loss, -1 elsewhere.
    package var targets: [Int32]
    package var lengths: [Int]

    package init(ids: [Int32], positions: [Int32], targets: [Int32], lengths: [Int]) {
        precondition(ids.count == positions.count && ids.count == targets.count)
        precondition(lengths.reduce(0, +) == ids.count)
        (self.ids, self.positions, self.targets, self.lengths) = (ids, positions, targets, lengths)
    }

    /// Sequences whose every next token is a target, or none of them.
    package init(sequences: [[Int32]], allTargets: Bool) {
        let targets = sequences.map { ids in
            allTargets ? Array(ids.dropFirst()) + [-1] : [Int32](repeating: -1, count: ids.count)
        }
        self.init(
            ids: sequences.flatMap { $0 },
            positions: sequences.flatMap { (0..<Int32($0.count)).map { $0 } },
            targets: targets.flatMap { $0 }, lengths: sequences.map(\.count))
    }

    package var targetCount: Int { targets.count { $0 >= 0 } }
}

/// What the loss head saw, row by row (only rows with a target, in order).
package struct LossRows: Sendable {
    /// log p(target)
    package let logProbabilities: [Float]
    /// In nats.
    package let entropies: [Float]
    /// 1 where the target is the first largest logit.
    package let isTop: [Float]

    /// - Parameter results: `[3, N]`: all log probabilities, all entropies, and so on.
    init(results: ArraySlice<Float>) {
        let count = results.count / 3
        logProbabilities = Array(results.prefix(count))
        entropies = Array(results.dropFirst(count).prefix(count))
        isTop = Array(results.suffix(count))
    }
    package var count: Int { logProbabilities.count }

    /// Sum of the losses of all rows: nll `-l`, dft `-exp(l) l`.
    package func lossSum(_ kind: LossKind) -> Double {
        logProbabilities.reduce(0) { sum, value in
            let l = Double(value)
            return sum - (kind == .nll ? l : exponential(l) * l)
        }
    }
    package var entropySum: Double { entropies.reduce(0) { $0 + Double($1) } }
    package var topSum: Double { isTop.reduce(0) { $0 + Double($1) } }
}
