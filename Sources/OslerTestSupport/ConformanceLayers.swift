#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerCompute

extension ConformanceCase {
    static var layers: [ConformanceCase] { norms + ropes + swiglus }

    private static var norms: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (rows, width) in [(1, 1), (15, 17), (16, 16), (17, 33), (3, 2050), (90, 768)] {
            for type in floatTypes {
                cases.append(
                    ConformanceCase(.rmsNorm, "[\(rows), \(width)] of \(type)") { run in
                        let x = try run.normal(type, [rows, width], scale: 3)
                        let (w, y) = (
                            try run.normal([width]), try run.output(run.activation, [rows, width])
                        )
                        let inverses = try run.output(.float32, [rows])
                        run.backend.rmsNorm(
                            x, weight: w, epsilon: 1e-5, output: y, inverseRMS: inverses)
                        try run.record("output", y)
                        try run.record("inverse RMS", inverses)
                    })
                for accumulating in [false, true] {
                    cases.append(
                        normBackward(rows, width, type, .float32, accumulating: accumulating))
                }
                cases.append(normBackward(rows, width, type, .bfloat16, accumulating: false))
            }
        }
        cases.append(
            ConformanceCase(.rmsNorm, "rows of zeros and of large values") { run in
                let x = try run.tensor((0..<99).map { $0 < 33 ? 0 : 1e15 }, [3, 33])
                let (w, y) = (try run.normal([33]), try run.output(run.activation, [3, 33]))
                let inverses = try run.output(.float32, [3])
                run.backend.rmsNorm(x, weight: w, epsilon: 1e-6, output: y, inverseRMS: inverses)
                try run.record("output", y)
                try run.record("inverse RMS", inverses)
            })
        return cases
    }

    private static func normBackward(
        _ rows: Int, _ width: Int, _ type: DType, _ gradientType: DType, accumulating: Bool
    ) -> ConformanceCase {
        let detail = "[\(rows), \(width)] of \(type), gradient \(gradientType)"
        return ConformanceCase(.rmsNormBackward, detail + (accumulating ? ", adding" : "")) { run in
            let x = try run.normal(type, [rows, width], scale: 2)
            let (dy, w) = (try run.normal(run.activation, [rows, width]), try run.normal([width]))
            let dx = try run.normal(gradientType, [rows, width])
            // The saved factor is an input here: taken near the true one, the same on every
            // backend.
            let inverses = try run.tensor((0..<rows).map { 0.5 + Float($0 % 7) * 0.01 }, [rows])
            run.backend.rmsNormBackward(
                dy, input: x, weight: w, inverseRMS: inverses, accumulating: accumulating,
                inputGradient: dx)
            try run.record("input gradient", dx)
        }
    }

    private static var ropes: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (tokens, heads, width) in [
            (1, 1, 2), (15, 3, 30), (17, 2, 32), (33, 1, 34), (40, 6, 128),
        ] {
            for inverse in [false, true] {
                let detail = "[\(tokens), \(heads), \(width)]" + (inverse ? " inverse" : "")
                cases.append(
                    ConformanceCase(.rope, detail) { run in
                        let x = try run.normal(run.activation, [tokens, heads, width])
                        let angles = (0..<50 * width / 2).map { Float($0) * 0.37 }
                        run.backend.rope(
                            x, positions: try run.indices(tokens, below: 50),
                            cosine: try run.tensor(angles.map { cosf($0) }, [50, width / 2]),
                            sine: try run.tensor(angles.map { sinf($0) }, [50, width / 2]),
                            inverse: inverse)
                        try run.record("heads", x)
                    })
            }
        }
        return cases
    }

    private static var swiglus: [ConformanceCase] {
        [(1, Float(1)), (15, 1), (33, 1), (1000, 8), (70_003, 1), (333, 60)].flatMap {
            n, scale -> [ConformanceCase] in
            [
                ConformanceCase(.swiglu, "\(n), gates of \(scale)") { run in
                    let gate = try run.normal(run.activation, [n], scale: scale)
                    let (up, y) = (
                        try run.normal(run.activation, [n]), try run.output(run.activation, [n])
                    )
                    run.backend.swiglu(gate: gate, up: up, output: y)
                    try run.record("output", y)
                    run.backend.swiglu(gate: gate, up: up, output: gate)
                    try run.record("over the gate", gate)
                },
                ConformanceCase(.swigluBackward, "\(n), gates of \(scale)") { run in
                    let type = run.activation
                    let gate = try run.normal(type, [n], scale: scale)
                    let (up, dy) = (try run.normal(type, [n]), try run.normal(type, [n]))
                    let (dg, du) = (try run.output(type, [n]), try run.output(type, [n]))
                    run.backend.swigluBackward(
                        dy, gate: gate, up: up, gateGradient: dg, upGradient: du)
                    try run.record("gate gradient", dg)
                    try run.record("up gradient", du)
                    run.backend.swigluBackward(
                        dy, gate: gate, up: up, gateGradient: gate, upGradient: up)
                    try run.record("gate gradient in place", gate)
                    try run.record("up gradient in place", up)
                },
            ]
        }
    }
}
