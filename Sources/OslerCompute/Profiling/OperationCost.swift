/// What an operation has to do at least.
package struct OperationCost: Sendable, Equatable {
    /// Multiplications and additions of matrix products, each counted once; 0 for operations that only pass over memory.
    package var flops = 0
    /// Every operand read once and every result written once, in the form in which it is kept.
    package var bytes = 0

    init(flops: Int = 0, bytes: Int = 0) { (self.flops, self.bytes) = (flops, bytes) }

    /// Passes over these tensors; one that is read and written stands twice.
    init(_ tensors: Tensor?..., flops: Int = 0) {
        self.init(flops: flops, bytes: tensors.reduce(0) { $0 + ($1?.byteCount ?? 0) })
    }

    mutating func add(_ other: OperationCost) {
        flops += other.flops
        bytes += other.bytes
    }

    /// 2 M N K flops a product. A left operand that several multiplications share counts with each.
    static func multiply(_ one: Multiplication) -> OperationCost {
        one.products.reduce(into: OperationCost(one.addend, one.bias, one.output)) {
            $0.flops += 2 * one.output.count * $1.depth
            $0.bytes += $1.a.byteCount + $1.b.byteCount
        }
    }

    /// `Q K^T` and `P V` over the visible scores: 4 flops a score, head and element of a head.
    static func attention(
        query: Tensor, key: Tensor, value: Tensor, output: Tensor, logSumExp: Tensor,
        sequences: SequenceTable
    ) -> OperationCost {
        OperationCost(
            query, key, value, output, logSumExp,
            flops: 4 * sequences.visibleScores * query.columns)
    }

    /// dV, dP, dQ and dK: 8 flops a score, head and element of a head. The scores themselves are computed again, which
    /// is a choice and not counted.
    static func attentionBackward(
        query: Tensor, key: Tensor, logSumExp: Tensor, sequences: SequenceTable
    ) -> OperationCost {
        // Query, output and their gradients; key, value and theirs.
        OperationCost(
            flops: 8 * sequences.visibleScores * query.columns,
            bytes: 4 * query.byteCount + 4 * key.byteCount + logSumExp.byteCount)
    }

    /// Logits, and the gradient of `hidden` where it is wanted: 2 N D V flops each.
    static func linearCrossEntropy(
        hidden: Tensor, head: FrozenMatrix, gradient: Tensor?
    ) -> OperationCost {
        // Targets and three results are 4 bytes a row each.
        OperationCost(
            flops: (gradient == nil ? 2 : 4) * hidden.count * head.rows,
            bytes: hidden.byteCount + head.byteCount + (gradient?.byteCount ?? 0)
                + 16 * hidden.rowCount)
    }
}

extension SequenceTable {
    /// Pairs of a query and a key that it sees.
    package var visibleScores: Int {
        entries.reduce(0) { sum, entry in
            let (queries, keys) = (entry.queryCount, entry.keyCount)
            return sum + queries * (keys - queries) + queries * (queries + 1) / 2
        }
    }
}
