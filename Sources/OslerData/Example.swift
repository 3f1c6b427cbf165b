/// One tokenized row.
package struct Example: Sendable, Equatable {
    package var ids: [Int32]
    /// True where the token is a label. The first token of a sequence is never predicted, whatever
    /// stands here.
    package var lossMask: [Bool]
    /// The row in the source, from 0.
    package var row: Int

    package init(ids: [Int32], lossMask: [Bool], row: Int) {
        precondition(ids.count == lossMask.count)
        (self.ids, self.lossMask, self.row) = (ids, lossMask, row)
    }

    /// The number of tokens that the model learns to predict.
    package var targetCount: Int {
        lossMask.dropFirst().reduce(0) { $0 + ($1 ? 1 : 0) }
    }

    func slice(_ range: Range<Int>) -> Example {
        Example(ids: Array(ids[range]), lossMask: Array(lossMask[range]), row: row)
    }
}
