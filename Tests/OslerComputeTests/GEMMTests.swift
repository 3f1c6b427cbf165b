import OslerCompute
import Testing

/// Products of `CPUBackend.multiply` against sums in double precision, on shapes that break tiles.
@Suite struct GEMMTests {
    enum Kind: CaseIterable { case float32, bfloat16, nf4, nestedNF4 }

    struct Case: CustomStringConvertible, Sendable {
        var isa: CPUBackend.ISA
        var precision: Precision
        var kind: Kind
        var bTransposed: Bool
        var description: String {
            "\(isa) \(precision) \(kind) \(bTransposed ? "forward" : "backward")"
        }
    }

    static let cases: [Case] = CPUBackend.ISA.supported.flatMap { isa in
        [Precision.float32, .bfloat16].flatMap { precision in
            Kind.allCases.flatMap { kind in
                [true, false].map {
                    Case(isa: isa, precision: precision, kind: kind, bTransposed: $0)
                }
            }
        }
    }

    /// m, n, k.
    static let shapes = [
        (1, 1, 1), (1, 64, 576), (2, 17, 33), (5, 15, 16), (6, 16, 64), (7, 33, 257), (13, 48, 31),
        (16, 100, 300), (33, 130, 64), (97, 65, 513), (300, 40, 70),
    ]

    @Test("Products agree with sums in double precision", arguments: cases)
    func agree(_ c: Case) throws {
        let backend = try CPUBackend(precision: c.precision, threads: 2, isa: c.isa)
        for (m, n, k) in Self.shapes {
            for aTransposed in [false, true] {
                for aType in [DType.float32, .bfloat16] {
                    var random = Random(seed: UInt64(m * 31 + n * 7 + k))
                    let a = try Dense(backend, aTransposed ? [k, m] : [m, k], aType, &random)
                    let b = try Operand(
                        backend, rows: c.bTransposed ? n : k, columns: c.bTransposed ? k : n,
                        c.kind, &random)
                    let output = try Dense(backend, [m, n], .float32)
                    let product = Product(
                        a.tensor, aTransposed: aTransposed, b.matrix, bTransposed: c.bTransposed)
                    backend.multiply([product], adding: nil, bias: nil, into: output.tensor)
                    let bfloat16 = c.precision == .bfloat16
                    check(output, tolerance: 3e-6) { i, j in
                        var (sum, size) = (0.0, 0.0)
                        for p in 0..<k {
                            let x = a[aTransposed ? p * m + i : i * k + p]
                            let y = b.values[c.bTransposed ? j * k + p : p * n + j]
                            let term =
                                Double(bfloat16 ? x.rounded16 : x)
                                * Double(bfloat16 ? y.rounded16 : y)
                            sum += term
                            size += term.magnitude
                        }
                        return (sum, size)
                    }
                }
            }
        }
    }

    @Test(
        "Products, addend and bias add up and are rounded once", arguments: CPUBackend.ISA.supported
    )
    func sums(isa: CPUBackend.ISA) throws {
        let (m, n, k, r) = (37, 53, 130, 5)
        for (precision, outputType) in [
            (Precision.float32, DType.float32), (.bfloat16, .bfloat16), (.bfloat16, .float32),
        ] {
            let backend = try CPUBackend(precision: precision, threads: 3, isa: isa)
            var random = Random(seed: 5)
            let x = try Dense(backend, [m, k], .bfloat16, &random)
            let w = try Dense(backend, [n, k], .bfloat16, &random)
            let xa = try Dense(backend, [m, r], .bfloat16, &random)
            let b = try Dense(backend, [n, r], .bfloat16, &random)
            let addend = try Dense(backend, [m, n], .float32, &random)
            let bias = try Dense(backend, [n], .float32, &random)
            let output = try Dense(backend, [m, n], outputType)
            backend.multiply(
                [
                    .forward(x.tensor, .dense(w.tensor), scale: 0.5),
                    .forward(xa.tensor, .dense(b.tensor), scale: 2),
                ], adding: addend.tensor, bias: bias.tensor, into: output.tensor)
            check(output, tolerance: outputType == .bfloat16 ? 0.0040 : 1e-5) { i, j in
                var sum = 0.0
                for p in 0..<k { sum += 0.5 * Double(x[i * k + p]) * Double(w[j * k + p]) }
                for p in 0..<r { sum += 2 * Double(xa[i * r + p]) * Double(b[j * r + p]) }
                sum += Double(addend[i * n + j]) + Double(bias[j])
                return (sum, outputType == .bfloat16 ? sum.magnitude : sum.magnitude + 10)
            }
        }
    }

    @Test("A sum of no products is addend plus bias", arguments: CPUBackend.ISA.supported)
    func nothing(isa: CPUBackend.ISA) throws {
        let backend = try CPUBackend(precision: .float32, threads: 2, isa: isa)
        var random = Random(seed: 6)
        let addend = try Dense(backend, [9, 20], .bfloat16, &random)
        let bias = try Dense(backend, [20], .bfloat16, &random)
        backend.multiply([], adding: addend.tensor, bias: bias.tensor, into: addend.tensor)
        let output = try Dense(backend, [9, 20], .float32)
        backend.multiply([], adding: nil, bias: bias.tensor, into: output.tensor)
        #expect((0..<20).allSatisfy { output[$0] == bias[$0] })
    }

    @Test("The addend may be the output", arguments: CPUBackend.ISA.supported)
    func accumulates(isa: CPUBackend.ISA) throws {
        let backend = try CPUBackend(precision: .float32, threads: 2, isa: isa)
        var random = Random(seed: 7)
        let a = try Dense(backend, [19, 8], .float32, &random)
        let b = try Dense(backend, [23, 8], .float32, &random)
        let once = try Dense(backend, [19, 23], .float32)
        let twice = try Dense(backend, [19, 23], .float32)
        let product = Product.forward(a.tensor, .dense(b.tensor))
        backend.multiply([product], adding: nil, bias: nil, into: once.tensor)
        backend.multiply([product], adding: nil, bias: nil, into: twice.tensor)
        backend.multiply([product], adding: twice.tensor, bias: nil, into: twice.tensor)
        #expect((0..<19 * 23).allSatisfy { twice[$0] == 2 * once[$0] })
    }

    /// Up to 16 rows are summed in one order and more in another, so that either can be fast.
    @Test(
        "The bits depend neither on threads nor, up to 16 and beyond, on the number of rows",
        arguments: cases)
    func deterministic(_ c: Case) throws {
        for k in [700, 704] {
            let n = 200
            var random = Random(seed: 8)
            let maker = try CPUBackend(precision: c.precision, threads: 1, isa: c.isa)
            let a = try Dense(maker, [64, k], .float32, &random)
            let b = try Operand(
                maker, rows: c.bTransposed ? n : k, columns: c.bTransposed ? k : n, c.kind,
                &random)
            let small = try Dense(maker, [64, 3], .float32, &random)
            let wide = try Dense(maker, [n, 3], .float32, &random)
            for counts in [[64, 17, 31], [16, 1, 2, 3, 4, 5, 7, 15]] {
                var expected: [Float]?
                for threads in [1, 2, 3, 8] {
                    let backend = try CPUBackend(
                        precision: c.precision, threads: threads, isa: c.isa)
                    for rows in counts {
                        let output = try Dense(backend, [rows, n], .float32)
                        let products = [
                            Product(
                                a.tensor.rows(0..<rows), b.matrix, bTransposed: c.bTransposed),
                            .forward(
                                small.tensor.rows(0..<rows), .dense(wide.tensor), scale: 0.3),
                        ]
                        backend.multiply(products, adding: nil, bias: nil, into: output.tensor)
                        let got = (0..<rows * n).map { output[$0] }
                        if let expected {
                            #expect(
                                got == Array(expected[..<got.count]),
                                "\(threads) threads, \(rows) rows")
                        } else {
                            expected = got
                        }
                    }
                }
            }
        }
    }

    /// So long that their packed rows exceed the cache: k is summed in slabs, whose sums wait in memory.
    @Test(
        "Long rows have the bits that fewer of them have",
        arguments: cases.filter { $0.kind != .nestedNF4 })
    func slabs(_ c: Case) throws {
        let (m, n) = (420, 24)
        let k = c.isa == .portable ? 5300 : 10_100
        let backend = try CPUBackend(precision: c.precision, threads: 2, isa: c.isa)
        var random = Random(seed: 9)
        let a = try Dense(backend, [m, k], .bfloat16, &random)
        let b = try Operand(
            backend, rows: c.bTransposed ? n : k, columns: c.bTransposed ? k : n, c.kind, &random)
        let small = try Dense(backend, [m, 3], .float32, &random)
        let wide = try Dense(backend, [n, 3], .float32, &random)
        let addend = try Dense(backend, [m, n], .float32, &random)
        func output(_ rows: Range<Int>) throws -> [Float] {
            let output = try Dense(backend, [rows.count, n], .float32)
            let long = Product(
                a.tensor.rows(rows), b.matrix, bTransposed: c.bTransposed, scale: 0.7)
            backend.multiply(
                [long, .forward(small.tensor.rows(rows), .dense(wide.tensor), scale: 0.3), long],
                adding: addend.tensor.rows(rows), bias: nil, into: output.tensor)
            return (0..<output.tensor.count).map { output[$0] }
        }
        let together = try output(0..<m)
        #expect(!together.contains { !$0.isFinite })
        #expect(
            together == (try stride(from: 0, to: m, by: 30).flatMap { try output($0..<$0 + 30) }))
    }

    @Test("An instruction set that the CPU lacks is an error that names the ones it has")
    func unsupported() {
        for isa in CPUBackend.ISA.allCases where !isa.isSupported {
            let error = #expect(throws: CPUBackendError.self) {
                try CPUBackend(precision: .float32, threads: 1, isa: isa)
            }
            #expect(error?.description.contains("portable") == true)
        }
    }

    /// Every value of `output` is within `tolerance` of the expected value, relative to the size it comes with.
    private func check(
        _ output: Dense, tolerance: Double, _ expected: (Int, Int) -> (value: Double, size: Double)
    ) {
        let n = output.tensor.columns
        for index in 0..<output.tensor.count {
            let (value, size) = expected(index / n, index % n)
            let error = (Double(output[index]) - value).magnitude
            if !(error <= tolerance * size + 1e-30) {
                Issue.record("at \(index / n), \(index % n): \(output[index]), expected \(value)")
                return
            }
        }
    }
}

/// splitmix64 (Steele et al. 2014), for reproducible operands.
struct Random {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    /// -1 ... 1.
    mutating func uniform() -> Float { Float(Int32(truncatingIfNeeded: next())) * 0x1p-31 }
}

extension Float {
    /// Rounded to bfloat16, ties to even.
    var rounded16: Float {
        Float(bitPattern: (bitPattern &+ 0x7fff &+ (bitPattern >> 16 & 1)) & 0xffff_0000)
    }
}

/// A tensor whose elements a test reads and writes as `Float`.
struct Dense {
    let tensor: Tensor

    init(_ backend: CPUBackend, _ shape: [Int], _ dtype: DType) throws {
        let bytes = shape.reduce(1, *) * dtype.byteWidth
        tensor = Tensor(storage: try backend.allocate(byteCount: bytes), dtype: dtype, shape: shape)
        // NaN, so that an element that is not written shows.
        for i in 0..<bytes { tensor.address.storeBytes(of: 0xff, toByteOffset: i, as: UInt8.self) }
    }

    init(_ backend: CPUBackend, _ shape: [Int], _ dtype: DType, _ random: inout Random) throws {
        try self.init(backend, shape, dtype)
        for i in 0..<tensor.count { set(i, random.uniform()) }
    }

    func set(_ index: Int, _ value: Float) {
        switch tensor.dtype {
        case .float32: tensor.elements(as: Float.self)[index] = value
        default:
            tensor.elements(as: UInt16.self)[index] = UInt16(value.rounded16.bitPattern >> 16)
        }
    }

    subscript(index: Int) -> Float {
        switch tensor.dtype {
        case .float32: tensor.elements(as: Float.self)[index]
        default: Float(bitPattern: UInt32(tensor.elements(as: UInt16.self)[index]) << 16)
        }
    }
}

/// A right operand of any kind with its values.
struct Operand {
    let matrix: FrozenMatrix
    let values: [Float]

    init(
        _ backend: CPUBackend, rows: Int, columns: Int, _ kind: GEMMTests.Kind,
        _ random: inout Random
    ) throws {
        if kind == .float32 || kind == .bfloat16 {
            let dense = try Dense(
                backend, [rows, columns], kind == .float32 ? .float32 : .bfloat16, &random)
            matrix = .dense(dense.tensor)
            values = (0..<rows * columns).map { dense[$0] }
            return
        }
        func bytes(_ count: Int) throws -> Tensor {
            Tensor(
                storage: try backend.allocate(byteCount: count), dtype: .uint8, shape: [count])
        }
        let (count, blockSize, nestedSize) = (rows * columns, 64, 4)
        let blocks = (count + blockSize - 1) / blockSize
        let codes = try bytes((count + 1) / 2)
        for i in 0..<codes.count {
            codes.elements(as: UInt8.self)[i] = UInt8(truncatingIfNeeded: random.next())
        }
        var scales: [Float]
        if kind == .nf4 {
            let absmax = try Dense(backend, [blocks], .float32, &random)
            scales = (0..<blocks).map { absmax[$0] }
            matrix = .nf4(
                NF4Matrix(
                    rows: rows, columns: columns, codes: codes, absmax: absmax.tensor, nested: nil))
        } else {
            let absmax = try bytes(blocks)
            let table = try Dense(backend, [256], .float32, &random)
            let outer = try Dense(
                backend, [(blocks + nestedSize - 1) / nestedSize], .float32, &random)
            scales = []
            for block in 0..<blocks {
                let code = UInt8(truncatingIfNeeded: random.next())
                absmax.elements(as: UInt8.self)[block] = code
                let scaled = table[Int(code)] * outer[block / nestedSize]
                scales.append(scaled + 0.75)
            }
            let nested = NF4Matrix.Nested(
                absmax: outer.tensor, table: table.tensor, offset: 0.75, blockSize: nestedSize)
            matrix = .nf4(
                NF4Matrix(
                    rows: rows, columns: columns, codes: codes, absmax: absmax, nested: nested))
        }
        let table: [Float] = [
            -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
            -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
            0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
            0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
        ]
        values = (0..<count).map { i in
            let byte = codes.elements(as: UInt8.self)[i / 2]
            return table[Int(i % 2 == 0 ? byte >> 4 : byte & 15)] * scales[i / blockSize]
        }
    }
}
