import OslerCompute
import OslerTestSupport
import Testing

/// AdamW against torch's, step by step, and the 8-bit one against bitsandbytes.
@Suite struct OptimizerTests {
    static let golden = Result { try Golden(Fixtures.path("optim/steps.safetensors")) }
    static let learningRates = [
        0.0003333333333333333, 0.0006222222222222223, 0.0008666666666666667, 0.0008,
        0.0007333333333333334, 0.0006666666666666668, 0.0006, 0.0005333333333333334,
        0.00046666666666666666, 0.0004,
    ]

    enum Kind: String, CaseIterable { case reference, cpu }
    static func backend(_ kind: Kind) throws -> any Backend {
        kind == .reference
            ? ReferenceBackend(precision: .float32)
            : try CPUBackend(precision: .float32, threads: 2)
    }

    struct Run: CustomTestStringConvertible {
        let name: String
        var beta2 = 0.999
        var weightDecay = 0.01
        var epsilon = 1e-8
        var clips = false
        var rate = 1.0
        var testDescription: String { name }
    }

    static let runs = [
        Run(name: "adamw_wd0.01_eps1e-8"),
        Run(name: "adamw_wd0.1_b0.95", beta2: 0.95, weightDecay: 0.1, epsilon: 1e-6, rate: 3),
        Run(name: "adamw_clip1", clips: true),
    ]

    @Test(arguments: runs, Kind.allCases) func `AdamW is torch's`(_ run: Run, kind: Kind) throws {
        let (golden, backend) = (try Self.golden.get(), try Self.backend(kind))
        for name in ["a", "c"] {
            let shape = try golden.shape("init.\(name)")
            let parameter = try backend.tensor(try golden.floats("init.\(name)"), shape)
            let moments = try (0..<2).map { _ in try backend.tensor(.float32, shape) }
            moments.forEach(backend.zero)
            for step in 1...10 {
                let gradient = try backend.tensor(
                    try golden.floats("grad.step\(step).\(name)"), shape)
                backend.adamW(
                    parameter, gradient: gradient, firstMoment: moments[0],
                    secondMoment: moments[1],
                    step: AdamWStep(
                        learningRate: run.rate * Self.learningRates[step - 1], beta2: run.beta2,
                        epsilon: run.epsilon, weightDecay: run.weightDecay, step: step,
                        gradientScale: run.clips ? try clipping(step, backend) : 1))
                let expected = "\(run.name).step\(step).\(name)"
                guard golden.contains(expected) else { continue }
                let difference = GoldenDifference(
                    try backend.floats(parameter), try golden.floats(expected))
                // The CPU rounds where torch does; the reference rounds once a step, torch five
                // times.
                let allowed: Float = kind == .cpu ? 1e-7 : 2e-7
                #expect(difference.absolute <= allowed, "step \(step) \(name): \(difference)")
            }
            for (moment, key) in zip(moments, ["exp_avg", "exp_avg_sq"]) {
                let difference = GoldenDifference(
                    try backend.floats(moment),
                    try golden.floats("\(run.name).state.\(key).\(name)"))
                #expect(difference.relative <= 1e-6, "\(key) \(name): \(difference)")
            }
        }
    }

    /// `min(1, 1 / (norm + 1e-6))` over all gradients of the step.
    private func clipping(_ step: Int, _ backend: any Backend) throws -> Float {
        let golden = try Self.golden.get()
        let squares = try ["a", "b", "c", "d"].map {
            let name = "grad.step\(step).\($0)"
            return try backend.sumOfSquares(
                try backend.tensor(try golden.floats(name), golden.shape(name)))
        }
        return Float(min(1, 1 / (squares.reduce(0, +).squareRoot() + 1e-6)))
    }

    /// The norm that torch's `clip_grad_norm_` gave for the fifth and sixth step.
    @Test(arguments: Kind.allCases, [(4, 5.936477184295654), (5, 223.6521759033203)])
    func `sum of squares`(kind: Kind, expected: (step: Int, norm: Double)) throws {
        let (golden, backend) = (try Self.golden.get(), try Self.backend(kind))
        let squares = try ["a", "b", "c", "d"].map {
            let name = "grad.step\(expected.step).\($0)"
            return try backend.sumOfSquares(
                try backend.tensor(try golden.floats(name), golden.shape(name)))
        }
        let norm = squares.reduce(0, +).squareRoot()
        #expect(abs(norm - expected.norm) <= 1e-6 * expected.norm)
    }

    @Test(arguments: Kind.allCases, ["a", "b", "c", "d"])
    func `8-bit AdamW is bitsandbytes'`(kind: Kind, name: String) throws {
        let (golden, backend) = (try Self.golden.get(), try Self.backend(kind))
        let shape = try golden.shape("init.\(name)")
        let parameter = try backend.tensor(try golden.floats("init.\(name)"), shape)
        let n = parameter.count
        let blocks = (n + 255) / 256
        let state = Adam8bitState(
            first: try backend.tensor([UInt8](repeating: 127, count: n), [n]),
            second: try backend.tensor([UInt8](repeating: 0, count: n), [n]),
            firstAbsmax: try backend.tensor(.float32, [blocks]),
            secondAbsmax: try backend.tensor(.float32, [blocks]))
        backend.zero(state.firstAbsmax)
        backend.zero(state.secondAbsmax)
        for step in 1...10 {
            let gradient = try backend.tensor(try golden.floats("grad.step\(step).\(name)"), shape)
            backend.adamW8bit(
                parameter, gradient: gradient, state: state,
                step: AdamWStep(
                    learningRate: Self.learningRates[step - 1], weightDecay: 0.01, step: step))
            guard golden.contains("bnb8_min0.step\(step).\(name)") else { continue }
            let difference = GoldenDifference(
                try backend.floats(parameter), try golden.floats("bnb8_min0.step\(step).\(name)"))
            #expect(difference.absolute <= 1e-6, "step \(step): \(difference)")
        }
        let emulated = GoldenDifference(
            try backend.floats(parameter), try golden.floats("bnb8_cuda_emulated.final.\(name)"))
        #expect(emulated.absolute <= 1e-6, "CUDA's order: \(emulated)")
        try expectCodes(
            backend.bytes(state.first), golden.bytes("bnb8_cuda_emulated.state.state1.\(name)"))
        try expectCodes(
            backend.bytes(state.second), golden.bytes("bnb8_min0.state.state2.\(name)"))
        if name != "c" {
            for (absmax, key) in [(state.firstAbsmax, "absmax1"), (state.secondAbsmax, "absmax2")] {
                let difference = GoldenDifference(
                    try backend.floats(absmax),
                    try golden.floats("bnb8_min0.state.\(key).\(name)"))
                #expect(difference.relative <= 1e-6, "\(key): \(difference)")
            }
        }
    }

    /// Equal but for ties, which are rare and one code apart.
    private func expectCodes(_ codes: [UInt8], _ expected: [UInt8]) {
        let distances = zip(codes, expected).map { abs(Int($0) - Int($1)) }
        #expect(codes.count == expected.count)
        #expect((distances.max() ?? 0) <= 1)
        #expect(
            distances.reduce(0, +) <= 1 + codes.count / 1000, "\(distances.reduce(0, +)) differ")
    }
}
