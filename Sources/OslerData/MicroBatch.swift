/// Sequences joined into one row without padding: what one forward pass takes.
package struct MicroBatch: Sendable, Equatable {
    /// `[T]`, the sequences one behind the other.
    package var ids: [Int32]
    /// `[T]`, from 0 within each sequence.
    package var positions: [Int32]
    /// `[T]`: the token to predict at each place, which is the next one of the same sequence; -1
    /// where that token is not a label and at the end of a sequence.
    package var targets: [Int32]
    /// Tokens of each sequence, in order; their sum is T.
    package var sequenceLengths: [Int]
    /// The source row of each sequence.
    package var rows: [Int]

    /// Flattens `sequences`. Attention must not look from one into another.
    package init(_ sequences: some Sequence<Example>) {
        (ids, positions, targets, sequenceLengths, rows) = ([], [], [], [], [])
        for sequence in sequences {
            let count = sequence.ids.count
            ids += sequence.ids
            positions += (0..<count).map(Int32.init)
            for next in 1..<max(count, 1) {
                targets.append(sequence.lossMask[next] ? sequence.ids[next] : -1)
            }
            if count > 0 { targets.append(-1) }
            sequenceLengths.append(count)
            rows.append(sequence.row)
        }
    }

    /// Labels in this batch: what the loss is summed over.
    package var targetCount: Int { targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) } }
}
