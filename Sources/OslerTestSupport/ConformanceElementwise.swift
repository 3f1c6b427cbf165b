internal import OslerCompute

extension ConformanceCase {
    static let floatTypes: [DType] = [.float32, .bfloat16]
    private static let counts = [1, 15, 16, 17, 33, 1000, 70_003]

    /// Values whose rounding to 16 bits is decided by ties, overflow or not being numbers.
    private static let awkward: [Float] = [
        0, -0.0, 1, -1, 1.00390625, 1.01171875, -1.00390625, 3.3895314e38, 3.4e38, -3.4e38,
        .infinity, -.infinity, .nan, 0x1p-133, -0x1p-149, 0x1.8p-134,
        1 + 0x1p-11, 1 + 0x3p-11, -1 - 0x1.000002p-11, 65504, 65519.996, 65520, -65520, 65536,
        0x1p-14, 0x1.FFCp-15, 0x1.FFEp-15, 0x1p-24, -0x1p-24, 0x1p-25, 0x1.000002p-25, 0x3p-25,
    ]

    static var moves: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for n in counts {
            cases.append(
                ConformanceCase(.zero, "\(n)") { run in
                    let x = try run.normal([n])
                    run.backend.zero(x)
                    try run.record("zero", x)
                })
            for from in floatTypes {
                for to in floatTypes {
                    cases.append(
                        ConformanceCase(.copy, "\(n) \(from) to \(to)") { run in
                            let (x, y) = (try run.normal(from, [n]), try run.output(to, [n]))
                            run.backend.copy(x, to: y)
                            try run.record("copy", y)
                        })
                    cases.append(
                        ConformanceCase(.add, "\(n) \(from) to \(to)") { run in
                            let (x, y) = (try run.normal(from, [n]), try run.normal(to, [n]))
                            run.backend.add(x, to: y)
                            try run.record("sum", y)
                        })
                }
            }
        }
        cases.append(
            ConformanceCase(.copy, "awkward values") { run in
                let x = try run.tensor(awkward, [awkward.count])
                let y = try run.output(.bfloat16, [awkward.count])
                run.backend.copy(x, to: y)
                try run.record("rounded", y)
            })
        cases.append(
            ConformanceCase(.copy, "int32") { run in
                let (x, y) = (try run.integers([1, -2, 3]), try run.output(.int32, [3]))
                run.backend.copy(x, to: y)
                let bytes = Tensor(
                    storage: y.storage, byteOffset: y.byteOffset, dtype: .uint8, shape: [12])
                try run.record("copy", bytes)
            })
        return cases
    }

    static var rowOps: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for (rows, width) in [(1, 1), (15, 17), (33, 16), (17, 2049), (300, 129)] {
            for from in floatTypes {
                cases.append(
                    ConformanceCase(.embed, "[\(rows), \(width)] of \(from)") { run in
                        let table = try run.normal(from, [2 * rows, width])
                        let ids = try run.indices(rows, below: 2 * rows)
                        let output = try run.output(.float32, [rows, width])
                        run.backend.embed(ids: ids, table: table, into: output)
                        try run.record("output", output)
                    })
                for to in floatTypes {
                    cases.append(
                        ConformanceCase(.gatherRows, "[\(rows), \(width)] \(from) to \(to)") {
                            run in
                            let input = try run.normal(from, [rows + 2, width])
                            let output = try run.output(to, [rows, width])
                            run.backend.gatherRows(
                                input, rows: try run.indices(rows, below: rows + 2), into: output)
                            try run.record("output", output)
                        })
                    cases.append(
                        ConformanceCase(.scatterRows, "[\(rows), \(width)] \(from) to \(to)") {
                            run in
                            let input = try run.normal(from, [rows, width])
                            let output = try run.normal(to, [rows + 2, width])
                            let places = try run.distinctIndices(rows, below: rows + 2)
                            run.backend.scatterRows(input, rows: places, into: output)
                            try run.record("output", output)
                        })
                }
            }
        }
        return cases
    }

    static var dropouts: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        let key = DropoutKey(seed: 0x1234_5678_9ABC_DEF0, stream: 0xFEDC_BA98_7654_3210)
        for n in counts {
            for p: Float in [0, 0.05, 0.5, 0.999] {
                cases.append(
                    ConformanceCase(.dropout, "\(n) p \(p)") { run in
                        let x = try run.normal(run.activation, [n])
                        let y = try run.output(run.activation, [n])
                        run.backend.dropout(x, probability: p, key: key, output: y)
                        try run.record("output", y)
                        run.backend.dropout(x, probability: p, key: key, output: x)
                        try run.record("in place", x)
                    })
                for dtype in floatTypes {
                    cases.append(
                        ConformanceCase(.addDropout, "\(n) of \(dtype) p \(p)") { run in
                            let (x, y) = (try run.normal(dtype, [n]), try run.normal([n]))
                            run.backend.addDropout(x, probability: p, key: key, to: y)
                            try run.record("output", y)
                        })
                }
            }
            cases.append(
                ConformanceCase(.dropout, "\(n) float32 to bfloat16") { run in
                    let (x, y) = (try run.normal([n]), try run.output(.bfloat16, [n]))
                    let key = DropoutKey(seed: 1, stream: 2)
                    run.backend.dropout(x, probability: 0.1, key: key, output: y)
                    try run.record("output", y)
                })
        }
        return cases
    }
}
