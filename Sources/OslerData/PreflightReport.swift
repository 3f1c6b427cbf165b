package import OslerFormats

/// What preflight found.
package struct PreflightReport: Sendable {
    package var compatibility: Compatibility
    package var splits: [SplitReport]
    package var duplicates: Duplicates
    /// Identifiers, near-duplicates and flaws; nil where they were not looked for.
    package var care: DataCare?
    /// The first row to train on.
    package var sample: LossMaskSample?
    /// What forbids training.
    package var failures: [InputError]
    package var warnings: [String]

    /// - Throws: the first failure.
    package func check() throws {
        if let failure = failures.first { throw failure }
    }
}

/// One split's figures.
package struct SplitReport: Sendable {
    /// A proof that some rows break.
    package struct BrokenProof: Sendable, Equatable {
        package var first: ProofFailure
        package var count: Int
    }

    /// What a length policy would do.
    package struct PolicyEffect: Sendable, Equatable {
        package var policy: LengthPolicy
        /// Rows dropped, cut, or in error.
        package var rows: Int
        /// Rows that a cut leaves without a label.
        package var emptied: Int
        package var lostTokens: Int
    }

    package var name: String
    package var file: String
    package var schema: RowSchema
    package var rowCount: Int
    package var keptRows: Int
    package var units: Int
    package var tokenCount: Int
    package var targetCount: Int
    package var histogram: LengthHistogram
    package var length: LengthOutcome
    package var effects: [PolicyEffect]
    package var zeroTargetRows: [Int]
    package var templateChangedRows: [Int]
    package var brokenProofs: [BrokenProof]

    init(_ split: PreparedDataset, _ failures: [ProofFailure], limit: Int?) {
        name = split.name
        file = split.file
        schema = split.schema
        rowCount = split.rows.count
        keptRows = split.examples.count
        units = split.units.count
        tokenCount = split.tokenCount
        targetCount = split.targetCount
        histogram = LengthHistogram(split.shapes.map(\.tokenCount))
        length = split.length
        zeroTargetRows = split.zeroTargetRows
        templateChangedRows = split.templateChangedRows
        effects = limit.map { SplitReport.effects(split.shapes, limit: $0) } ?? []
        brokenProofs = ProofFailure.Kind.allCases.compactMap { kind in
            let broken = failures.filter { $0.kind == kind }
            return broken.first.map { BrokenProof(first: $0, count: broken.count) }
        }
    }

    /// The share of the tokens that is in the loss.
    package var targetShare: Double {
        tokenCount == 0 ? 0 : Double(targetCount) / Double(tokenCount)
    }

    private static func effects(_ shapes: [RowShape], limit: Int) -> [PolicyEffect] {
        let long = shapes.filter { $0.tokenCount > limit }
        return LengthPolicy.allCases.map { policy in
            var effect = PolicyEffect(policy: policy, rows: long.count, emptied: 0, lostTokens: 0)
            switch policy {
            case .drop: effect.lostTokens = long.reduce(0) { $0 + $1.tokenCount }
            case .truncate:
                effect.lostTokens = long.reduce(0) { $0 + $1.tokenCount - limit }
                effect.emptied = long.count { ($0.firstLabel ?? .max) >= limit }
            case .error: break
            }
            return effect
        }
    }
}
