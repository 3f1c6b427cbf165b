package import OslerCompute

/// How far an outcome may be from the reference's: `absolute + relative * |expected| + scaled *
/// (largest |expected|)`, and for bytes how large a share may be off by one.
///
/// The table, by op and type of the outcome. The reference computes in double and rounds where the
/// contract says so; the reasons for what is left:
///
/// | outcome | allowed | because |
/// | --- | --- | --- |
/// | moves (copy, gather, scatter, embed, zero, dropout's zeros) | nothing | nothing is computed |
/// | float32, one element at a time | 2e-6 relative | a few roundings, `exp` to 2 ulp |
/// | float32, sums | 4e-6 of the largest | float32 sums over up to about a thousand products |
/// | float32 from bfloat16 products | the same | operands are rounded alike, the sums are float32 |
/// | bfloat16 | 2^-7 relative and the float32 share | one unit in the last place, beside a bound |
/// | attention in bfloat16 | 2^-7 of the largest, backward 2^-6 | P and dS rounded to bfloat16 |
/// | the same in float16 | an eighth of each, and 2^-24 | 3 bits more, and its smallest number |
/// | attention backward | 1e-5 | a token that sees only itself: 0 by cancellation |
/// | loss, dft gradient | 1e-7 | p = e^-30 has the relative error of 30 roundings |
/// | loss gradient in bfloat16 | 2^-7 of the largest | the logit gradient is rounded to bfloat16 |
/// | 8-bit codes | one code in 1 of 200 | a float32 moment beside a bound |
package struct Tolerance: Sendable {
    package var relative: Float
    package var scaled: Float = 0
    package var absolute: Float = 0
    package var byteShare: Float = 0

    package static func of(_ op: ConformanceOp, _ outcome: Outcome, _ precision: Precision)
        -> Tolerance
    {
        if outcome.dtype == .uint8 { return Tolerance(relative: 0, byteShare: 0.005) }
        var result = float32(op)
        // In units of bfloat16's.
        let unit: Float = precision == .float16 ? 0x1p-3 : 1
        if precision != .float32 {
            result.scaled = max(result.scaled, unit * bfloat16Products(op))
        }
        if outcome.dtype != .float32 && !op.onlyMoves { result.relative += unit * 0x1p-7 }
        if outcome.dtype == .float16 && !op.onlyMoves { result.absolute += 0x1p-24 }
        return result
    }

    private static func float32(_ op: ConformanceOp) -> Tolerance {
        switch op {
        case .zero, .copy, .embed, .gatherRows, .scatterRows: Tolerance(relative: 0)
        case .add, .dropout, .addDropout, .swiglu, .adamW, .adamW8bit, .sumOfSquares:
            Tolerance(relative: 2e-6, scaled: 2e-7)
        // The derivative of silu crosses zero, where its terms cancel.
        case .swigluBackward, .rope: Tolerance(relative: 2e-6, scaled: 1e-6)
        case .rmsNorm, .rmsNormBackward, .multiply, .attention:
            Tolerance(relative: 4e-6, scaled: 4e-6)
        case .linearCrossEntropy: Tolerance(relative: 4e-6, scaled: 4e-6, absolute: 1e-7)
        // Gradients pass through two sums and the recomputed probabilities.
        case .attentionBackward: Tolerance(relative: 4e-6, scaled: 1e-5, absolute: 1e-5)
        }
    }

    private static func bfloat16Products(_ op: ConformanceOp) -> Float {
        switch op {
        case .attention, .linearCrossEntropy: 0x1p-7
        case .attentionBackward: 0x1p-6
        default: 0
        }
    }

    /// Nil when `actual` is near enough, else what is wrong.
    package func mismatch(_ actual: Outcome, _ expected: Outcome) -> String? {
        guard actual.values.count == expected.values.count else {
            return "\(expected.name): \(actual.values.count) values for \(expected.values.count)"
        }
        let largest = expected.values.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
        var worst: (share: Float, index: Int, count: Int) = (0, 0, 0)
        for (i, (a, e)) in zip(actual.values, expected.values).enumerated() {
            if a == e || (a.isNaN && e.isNaN) { continue }
            let allowed =
                expected.dtype == .uint8
                ? 1 : absolute + relative * abs(e) + scaled * largest
            // A NaN fails every comparison.
            let share = allowed > 0 ? abs(a - e) / allowed : .infinity
            if expected.dtype == .uint8 || !(share <= 1) { worst.count += 1 }
            if !(share <= worst.share) { (worst.share, worst.index) = (share, i) }
        }
        let allowedCount = Int((byteShare * Float(expected.values.count)).rounded(.up))
        if worst.share <= 1 && worst.count <= allowedCount { return nil }
        if worst.count == 0 { return nil }
        let (a, e) = (actual.values[worst.index], expected.values[worst.index])
        return "\(expected.name): \(worst.count) of \(actual.values.count) off, worst at "
            + "\(worst.index): \(a) for \(e), \(worst.share) times what is allowed"
    }
}
