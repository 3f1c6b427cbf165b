internal import OslerCompute

extension ConformanceCase {
    static var optimizers: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for n in [1, 15, 33, 256, 257, 1000, 70_003] {
            for type in floatTypes {
                cases.append(
                    ConformanceCase(.sumOfSquares, "\(n) of \(type)") { run in
                        run.record("sum", try run.backend.sumOfSquares(try run.normal(type, [n])))
                    })
            }
            cases += [adamW(n, AdamWStep(learningRate: 1e-3, weightDecay: 0.01, step: 1))]
            cases += [
                adamW(n, AdamWStep(learningRate: 2e-2, beta2: 0.95, step: 7, gradientScale: 0.3))
            ]
            cases += [adamW8bit(n, AdamWStep(learningRate: 1e-2, weightDecay: 0.1, step: 1))]
            cases += [adamW8bit(n, AdamWStep(learningRate: 1e-3, step: 100, gradientScale: 0.5))]
        }
        cases.append(adamW8bitFromNothing)
        return cases
    }

    private static func adamW(_ n: Int, _ step: AdamWStep) -> ConformanceCase {
        ConformanceCase(.adamW, "\(n), step \(step.step)") { run in
            let (p, g) = (try run.normal([n]), try run.normal([n], scale: 0.1))
            let m = try run.normal([n], scale: 0.05)
            let v = try run.tensor((0..<n).map { 1e-3 + Float($0 % 11) * 1e-3 }, [n])
            run.backend.adamW(p, gradient: g, firstMoment: m, secondMoment: v, step: step)
            try run.record("parameter", p)
            try run.record("first moment", m)
            try run.record("second moment", v)
        }
    }

    private static func adamW8bit(_ n: Int, _ step: AdamWStep) -> ConformanceCase {
        ConformanceCase(.adamW8bit, "\(n), step \(step.step)") { run in
            let (p, g) = (try run.normal([n]), try run.normal([n], scale: 0.1))
            let blocks = (n + 255) / 256
            let state = Adam8bitState(
                first: try run.randomBytes(n), second: try run.randomBytes(n, in: 40...255),
                firstAbsmax: try run.tensor((0..<blocks).map { 0.1 + Float($0) * 1e-4 }, [blocks]),
                secondAbsmax: try run.tensor((0..<blocks).map { 0.01 + Float($0) * 1e-5 }, [blocks])
            )
            run.backend.adamW8bit(p, gradient: g, state: state, step: step)
            try run.record("parameter", p)
            try run.record("first moment", state.first)
            try run.record("second moment", state.second)
            try run.record("first absmax", state.firstAbsmax)
            try run.record("second absmax", state.secondAbsmax)
        }
    }

    /// The state of a fresh start, a block of zero gradients whose scale stays 0, and first moments
    /// too small for a code, of which the negative ones keep their sign.
    private static var adamW8bitFromNothing: ConformanceCase {
        ConformanceCase(.adamW8bit, "fresh state, a block without gradient") { run in
            let n = 300
            let p = try run.normal([n])
            let gradients: [Float] = [-2, -1e-7, 0, 1e-7, 1]
            let g = try run.tensor((0..<n).map { $0 < 256 ? 0 : gradients[$0 % 5] }, [n])
            let state = Adam8bitState(
                first: try run.bytes([UInt8](repeating: 127, count: n)),
                second: try run.bytes([UInt8](repeating: 0, count: n)),
                firstAbsmax: try run.tensor([0, 0], [2]), secondAbsmax: try run.tensor([0, 0], [2]))
            run.backend.adamW8bit(
                p, gradient: g, state: state, step: AdamWStep(learningRate: 1e-3, step: 1))
            try run.record("parameter", p)
            try run.record("first moment", state.first)
            try run.record("second moment", state.second)
            try run.record("absmax", state.secondAbsmax)
        }
    }
}
