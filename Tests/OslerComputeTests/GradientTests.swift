import OslerCompute
import OslerTestSupport
import Testing

/// Every backward op against difference quotients of its forward op.
@Suite struct GradientTests {
    enum Kind: String, CaseIterable { case reference, cpu }
    static func backend(_ kind: Kind) throws -> any Backend {
        kind == .reference
            ? ReferenceBackend(precision: .float32)
            : try CPUBackend(precision: .float32, threads: 2)
    }

    @Test(arguments: Kind.allCases, GradientCase.all)
    func `gradients are the slopes`(kind: Kind, item: GradientCase) throws {
        #expect(try item.problems(on: Self.backend(kind)).isEmpty)
    }

    /// dft weighs a token's nll with its probability, held constant (Wu et al. 2025).
    @Test(arguments: Kind.allCases) func `a dft gradient is p times the nll gradient`(kind: Kind)
        throws
    {
        let backend = try Self.backend(kind)
        let hidden = try backend.tensor((0..<48).map { Float($0 % 13) * 0.1 - 0.5 }, [3, 16])
        let gradients = try (0..<2).map { _ in try backend.tensor(.float32, [3, 16]) }
        let logs = try backend.floats(try backend.loss(hidden, .nll, 2, gradients[0]))
        _ = try backend.loss(hidden, .dft, 2, gradients[1])
        let (nll, dft) = (try backend.floats(gradients[0]), try backend.floats(gradients[1]))
        for i in nll.indices {
            let expected = nll[i] * exponential(logs[i / 16])
            #expect(abs(dft[i] - expected) <= 1e-5 * max(abs(expected), 1e-3))
        }
    }

    /// `e^x` for x <= 0 by its series, halved until it converges at once.
    private func exponential(_ x: Float) -> Float {
        let small = Double(x) / 64
        var (term, sum) = (1.0, 1.0)
        for n in 1...12 {
            term *= small / Double(n)
            sum += term
        }
        return Float((0..<6).reduce(sum) { value, _ in value * value })
    }
}
