internal import OslerCompute

extension ConformanceCase {
    static var products: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for m in sizes {
            for n in sizes {
                for k in sizes {
                    cases.append(forward(m, n, k, .bfloat16))
                }
            }
        }
        for form in MatrixForm.allCases {
            for (m, n, k) in [
                (1, 17, 64), (5, 33, 15), (17, 64, 128), (65, 130, 300), (2, 300, 70),
            ] {
                cases += [forward(m, n, k, form), backward(m, n, k, form)]
            }
            cases.append(linearWithLoRA(form, m: 19, n: 70, k: 65))
        }
        for (m, n, k) in [(1, 1, 1), (8, 17, 33), (16, 130, 65), (33, 15, 1)] {
            cases += [weightGradient(m, n, k, .float32), weightGradient(m, n, k, .bfloat16)]
        }
        for form in MatrixForm.allCases {
            cases += [forward(70, 300, 1300, form), backward(40, 290, 1100, form)]
            // Rows of NF4 codes that begin and end in the middle of a block, and at its ends.
            for (m, n, k) in [(40, 96, 96), (40, 160, 96), (40, 576, 192)] {
                cases += [forward(m, n, k, form), backward(m, n, k, form)]
            }
        }
        for (m, n, rank) in [
            (19, 70, 5), (65, 136, 16), (130, 264, 33), (20, 131, 64), (17, 40, 65),
        ] {
            cases += [adapterTerm(m, n, rank), adapterTerm(m, n, rank, isBackward: true)]
        }
        for ranks in [[5, 16], [16, 16, 16], [33, 8, 33], [1, 2, 3, 4]] {
            cases += [inputGradient(21, 136, ranks), inputGradient(66, 43, ranks)]
        }
        cases += [inPlace(.float32), inPlace(.bfloat16), empty, several(45), several(5)]
        return cases + fewRows
    }

    /// 1 to 17 rows, where CPU kernels go from reading weights in place to packing them: rows and columns that fill no
    /// tile, K that fills no vector, K that cuts NF4 blocks and K that doesn't, K beyond any chunk, more
    /// outer blocks of scales than a kernel remembers.
    private static var fewRows: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for form in MatrixForm.allCases {
            for m in 1...17 {
                cases.append(forward(m, 7, 192, form))
                cases.append(forward(m, m, 33 + m, form))
            }
            for (m, n, k) in [
                (1, 67, 576), (3, 6, 1100), (6, 5, 2112), (16, 70, 96), (1, 3, 16448),
                (9, 2, 16448), (2, 200, 1024),
            ] {
                cases.append(forward(m, n, k, form))
            }
            for m in [1, 4, 11] { cases.append(linearWithLoRA(form, m: m, n: 70, k: 128)) }
        }
        return cases
    }

    private static func forward(_ m: Int, _ n: Int, _ k: Int, _ form: MatrixForm) -> ConformanceCase
    {
        ConformanceCase(.multiply, "forward \(form.rawValue) [\(m), \(n)] over \(k)") { run in
            let x = try run.normal(run.activation, [m, k])
            let y = try run.output(run.activation, [m, n])
            let w = try run.matrix(form, n, k)
            run.backend.multiply([.forward(x, w)], adding: nil, bias: nil, into: y)
            try run.record("output", y)
        }
    }

    private static func backward(_ m: Int, _ n: Int, _ k: Int, _ form: MatrixForm)
        -> ConformanceCase
    {
        ConformanceCase(.multiply, "backward \(form.rawValue) [\(m), \(n)] over \(k)") { run in
            let (dy, dx) = (try run.normal([m, k]), try run.output(.float32, [m, n]))
            let w = try run.matrix(form, k, n)
            run.backend.multiply([.backward(dy, w)], adding: nil, bias: nil, into: dx)
            try run.record("input gradient", dx)
        }
    }

    private static func weightGradient(_ m: Int, _ n: Int, _ k: Int, _ type: DType)
        -> ConformanceCase
    {
        ConformanceCase(.multiply, "gradient of \(type) [\(m), \(n)] over \(k)") { run in
            let (a, b) = (try run.normal(type, [k, m]), try run.normal(run.activation, [k, n]))
            let g = try run.normal([m, n])
            run.backend.multiply([.gradient(a, b, scale: 0.25)], adding: g, bias: nil, into: g)
            try run.record("added gradient", g)
        }
    }

    /// `x w^T + scale (x a^T) b^T + bias + residual`, the adapter's part as a second product.
    private static func linearWithLoRA(_ form: MatrixForm, m: Int, n: Int, k: Int)
        -> ConformanceCase
    {
        ConformanceCase(
            .multiply, "\(m) rows with adapter, bias and residual, \(form.rawValue) over \(k)"
        ) { run in
            let rank = 8
            let (x, xa) = (
                try run.normal(run.activation, [m, k]), try run.normal(run.activation, [m, rank])
            )
            let (w, b) = (try run.matrix(form, n, k), try run.matrix(.float32, n, rank))
            let products: [Product] = [.forward(x, w), .forward(xa, b, scale: 2)]
            let (bias, residual) = (try run.normal([n]), try run.normal([m, n]))
            for type in [DType.float32, .bfloat16] {
                let y = try run.output(type, [m, n])
                run.backend.multiply(products, adding: residual, bias: bias, into: y)
                try run.record("output \(type)", y)
            }
        }
    }

    /// An adapter's term of a layer's output, or of its input's gradient, at ranks that fill no tile.
    private static func adapterTerm(
        _ m: Int, _ n: Int, _ rank: Int, isBackward: Bool = false
    ) -> ConformanceCase {
        let name = isBackward ? "gradient" : "output"
        return ConformanceCase(.multiply, "\(name) [\(m), \(n)] with an adapter of rank \(rank)") {
            run in
            let (x, u) = (try run.normal([m, 24]), try run.normal(run.activation, [m, rank]))
            let y = try run.output(run.activation, [m, n])
            let products: [Product] =
                isBackward
                ? [
                    .backward(x, try run.matrix(.bfloat16, 24, n)),
                    .backward(u, try run.matrix(.float32, rank, n), scale: 0.5),
                ]
                : [
                    .forward(x, try run.matrix(.bfloat16, n, 24)),
                    .forward(u, try run.matrix(.float32, n, rank), scale: 0.5),
                ]
            run.backend.multiply(products, adding: nil, bias: nil, into: y)
            try run.record("output", y)
            let residual = try run.normal(run.activation, [m, n])
            run.backend.multiply(
                products, adding: residual, bias: try run.normal([n]), into: residual)
            try run.record("added in place", residual)
        }
    }

    /// The gradient of an input that several layers with adapters share.
    private static func inputGradient(_ m: Int, _ n: Int, _ ranks: [Int]) -> ConformanceCase {
        ConformanceCase(.multiply, "gradient [\(m), \(n)] with adapters of ranks \(ranks)") { run in
            let main: [Product] = try ranks.map { rank in
                .backward(
                    try run.normal(run.activation, [m, 70 + rank]),
                    try run.matrix(.bfloat16, 70 + rank, n))
            }
            let adapters: [Product] = try ranks.map { rank in
                .backward(
                    try run.normal(run.activation, [m, rank]), try run.matrix(.float32, rank, n))
            }
            for type in [DType.float32, .bfloat16] {
                let y = try run.output(type, [m, n])
                run.backend.multiply(main + adapters, adding: nil, bias: nil, into: y)
                try run.record("\(type) output", y)
            }
            let bias = try run.normal([n])
            let y = try run.normal([m, n])
            run.backend.multiply(main + adapters, adding: y, bias: bias, into: y)
            try run.record("added in place", y)
        }
    }

    private static func inPlace(_ type: DType) -> ConformanceCase {
        ConformanceCase(.multiply, "adding to the \(type) output") { run in
            let (x, y) = (try run.normal([9, 21]), try run.normal(type, [9, 35]))
            let w = try run.matrix(.bfloat16, 35, 21)
            run.backend.multiply([.forward(x, w, scale: -0.5)], adding: y, bias: nil, into: y)
            try run.record("output", y)
        }
    }

    private static var empty: ConformanceCase {
        ConformanceCase(.multiply, "no products, bias and addend alone") { run in
            let (addend, bias) = (try run.normal([5, 18]), try run.normal([18]))
            let y = try run.output(.float32, [5, 18])
            run.backend.multiply([], adding: addend, bias: bias, into: y)
            try run.record("output", y)
        }
    }

    /// Several multiplications at once: some with a left operand in common, of different sizes and kinds.
    private static func several(_ m: Int) -> ConformanceCase {
        ConformanceCase(.multiply, "several at once, \(m) rows") { run in
            let x = try run.normal(run.activation, [m, 66])
            let (u, dy) = (try run.normal(run.activation, [m, 16]), try run.normal([m, 35]))
            let (wide, narrow) = (try run.matrix(.bfloat16, 100, 66), try run.matrix(.nf4, 16, 66))
            let up = try run.matrix(.float32, 100, 16)
            let outputs = [
                try run.output(run.activation, [m, 100]), try run.output(.float32, [m, 16]),
                try run.output(.float32, [35, 16]),
            ]
            let (g, bias) = (try run.normal([35, 16]), try run.normal([100]))
            run.backend.multiply([
                Multiplication(
                    [.forward(x, wide), .forward(u, up, scale: 2)], bias: bias, into: outputs[0]),
                Multiplication([.forward(x, narrow, scale: -1)], into: outputs[1]),
                Multiplication([.gradient(dy, u, scale: 0.5)], adding: g, into: outputs[2]),
            ])
            for output in outputs { try run.record("output \(output.shape)", output) }
        }
    }
}
