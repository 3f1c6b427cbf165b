package import OslerCompute

/// The ops of `Backend` that cases are made for; the tolerance table goes by them.
package enum ConformanceOp: String, CaseIterable, Sendable {
    case zero, copy, add, multiply, embed, rmsNorm, rmsNormBackward, rope, attention
    case attentionBackward, swiglu, swigluBackward, dropout, addDropout, gatherRows, scatterRows
    case linearCrossEntropy, sumOfSquares, adamW, adamW8bit

    /// Outcomes are inputs, at most rounded: nothing is computed.
    var onlyMoves: Bool {
        switch self {
        case .zero, .copy, .embed, .gatherRows, .scatterRows: true
        default: false
        }
    }
}

/// One op on one shape. `run` makes the inputs, calls the op and records what it left.
package struct ConformanceCase: Sendable, CustomStringConvertible {
    package let op: ConformanceOp
    package let detail: String
    package let run: @Sendable (ConformanceRun) throws -> Void

    package init(
        _ op: ConformanceOp, _ detail: String,
        _ run: @escaping @Sendable (ConformanceRun) throws -> Void
    ) {
        (self.op, self.detail, self.run) = (op, detail, run)
    }

    package var description: String { "\(op.rawValue) \(detail)" }

    /// The table that every backend is held to.
    package static let all: [ConformanceCase] =
        moves + rowOps + layers + dropouts + products + attentions + losses + optimizers

    package static func of(_ op: ConformanceOp) -> [ConformanceCase] { all.filter { $0.op == op } }

    /// Sizes that break tiles of 2, 4, 8, 16, 32 and 64.
    static let sizes = [1, 15, 16, 17, 33]

    /// What this backend does wrong in this case, compared with the reference. Empty when all is
    /// well.
    package func mismatches(
        on backend: any Backend, misaligned: Bool = false, guardBytes: Int = 64
    ) throws -> [String] {
        let actual = ConformanceRun(
            on: backend, misaligned: misaligned, guardBytes: guardBytes)
        let expected = ConformanceRun(on: ReferenceBackend(precision: backend.precision))
        try run(actual)
        try run(expected)
        try backend.synchronize()
        try actual.checkGuards()
        let problems = zip(actual.outcomes, expected.outcomes).compactMap {
            Tolerance.of(op, $1, backend.precision).mismatch($0, $1)
        }
        return problems + actual.damaged.prefix(4).map { "written out of bounds: " + $0 }
    }

    /// All outcomes as bit patterns: equal on backends that must agree exactly.
    package func bits(on backend: any Backend) throws -> [[UInt32]] {
        let result = ConformanceRun(on: backend)
        try run(result)
        return result.outcomes.map { $0.values.map(\.bitPattern) }
    }
}
