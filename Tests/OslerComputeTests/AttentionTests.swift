import OslerCompute
import Testing

/// Attention of the CPU backend against the reference backend and against finite differences.
@Suite struct AttentionTests {
    struct Machine: Sendable, CustomStringConvertible {
        var isa: CPUBackend.ISA
        var precision: Precision
        var description: String { "\(isa) \(precision)" }

        func backend(threads: Int = 2) throws -> CPUBackend {
            try CPUBackend(precision: precision, threads: threads, isa: isa)
        }
    }

    static let machines = CPUBackend.ISA.supported.flatMap { isa in
        [Precision.float32, .bfloat16].map { Machine(isa: isa, precision: $0) }
    }

    /// Sequence lengths, H, K, h: every length that breaks tiles, every ratio, every width.
    static let shapes: [([Int], Int, Int, Int)] = [
        ([1], 2, 2, 64), ([2], 6, 2, 16), ([15], 7, 1, 24), ([16], 4, 2, 32), ([17], 3, 1, 64),
        ([33], 2, 2, 96), ([100], 3, 1, 128), ([257], 2, 1, 64), ([257], 7, 1, 16),
        ([130], 2, 2, 8), ([5, 1, 33, 128, 2, 64], 4, 2, 32), ([192, 3, 60], 2, 1, 128),
    ]

    @Test("Forward and backward agree with the reference", arguments: shapes)
    func agree(_ lengths: [Int], _ heads: Int, _ keyHeads: Int, _ width: Int) throws {
        for precision in [Precision.float32, .bfloat16] {
            let problem = Problem(
                SequenceTable(lengths: lengths), heads: heads, keyHeads: keyHeads, width: width,
                precision)
            let expected = try problem.reference()
            for machine in Self.machines where machine.precision == precision {
                let actual = try problem.run(on: machine.backend())
                for part in Part.allCases {
                    let error = distance(actual[part], expected[part])
                    #expect(error <= Self.tolerance(precision, part), "\(machine) \(part)")
                }
            }
        }
    }

    /// Share of the largest value. float32: sums of some hundred terms. bfloat16: P, dS and results are rounded to 8
    /// bits; the statistics are not.
    static func tolerance(_ precision: Precision, _ part: Part) -> Float {
        precision == .bfloat16 && part != .logSumExp ? 8e-3 : 4e-6
    }

    /// Query counts and key counts of sequences that continue cached keys.
    static let continuations: [[(Int, Int)]] = [
        [(1, 1)], [(1, 37)], [(2, 513)], [(3, 512)], [(4, 1300)], [(5, 150)], [(33, 161)],
        [(1, 100), (4, 4), (17, 129), (1, 1025), (16, 16)],
    ]

    @Test("More keys than queries agree with the reference", arguments: continuations.indices)
    func continuation(_ index: Int) throws {
        for (heads, keyHeads, width) in [
            (2, 2, 64), (7, 1, 16), (6, 2, 24), (6, 3, 80), (2, 1, 136),
        ] {
            for precision in [Precision.float32, .bfloat16] {
                let problem = Problem(
                    Self.table(Self.continuations[index]), heads: heads, keyHeads: keyHeads,
                    width: width, precision)
                let expected = try problem.reference(backward: false)
                for machine in Self.machines where machine.precision == precision {
                    let actual = try problem.run(on: machine.backend(), backward: false)
                    for part in [Part.output, .logSumExp] {
                        let error = distance(actual[part], expected[part])
                        #expect(
                            error <= Self.tolerance(precision, part),
                            "\(machine) \(heads):\(keyHeads) width \(width) \(part)")
                    }
                }
            }
        }
    }

    static func table(_ counts: [(Int, Int)]) -> SequenceTable {
        var (queries, keys) = (0, 0)
        return SequenceTable(
            entries: counts.map { count in
                defer { (queries, keys) = (queries + count.0, keys + count.1) }
                return SequenceTable.Entry(
                    queryOffset: queries, queryCount: count.0, keyOffset: keys, keyCount: count.1)
            })
    }

    @Test("Any number of threads gives the same bits", arguments: machines)
    func threads(_ machine: Machine) throws {
        let tables = [
            SequenceTable(lengths: [400]), SequenceTable(lengths: [140, 1, 129, 40]),
            Self.table([(1, 1100), (4, 600), (40, 200)]),
        ]
        for table in tables {
            let problem = Problem(table, heads: 4, keyHeads: 2, width: 16, machine.precision)
            let backward = table.entries.allSatisfy { $0.queryCount == $0.keyCount }
            let one = try problem.run(on: machine.backend(threads: 1), backward: backward)
            for threads in [2, 5] {
                let backend = try machine.backend(threads: threads)
                for _ in 0..<2 {
                    let more = try problem.run(on: backend, backward: backward)
                    for part in Part.allCases { #expect(sameBits(more[part], one[part])) }
                }
            }
        }
    }

    @Test("A sequence among others gives the bits that it gives alone", arguments: machines)
    func alone(_ machine: Machine) throws {
        let backend = try machine.backend()
        let lengths = [33, 2, 257, 16, 1, 100, 128]
        let together = Problem(
            SequenceTable(lengths: lengths), heads: 6, keyHeads: 2, width: 24, machine.precision)
        let all = try together.run(on: backend)
        for entry in together.table.entries {
            let single = together.only(entry)
            let result = try single.run(on: backend)
            for part in Part.allCases {
                let expected = together.rows(of: all[part], part, entry)
                #expect(sameBits(result[part], expected), "\(entry.queryCount) \(part)")
            }
        }
    }

    @Test(
        "Gradients are the slopes of the loss", arguments: CPUBackend.ISA.supported,
        [(3, 1, 16), (2, 2, 24), (7, 1, 8)])
    func finiteDifferences(_ isa: CPUBackend.ISA, _ shape: (Int, Int, Int)) throws {
        let backend = try CPUBackend(precision: .float32, threads: 2, isa: isa)
        let problem = Problem(
            SequenceTable(lengths: [19, 3, 35]), heads: shape.0, keyHeads: shape.1, width: shape.2,
            .float32)
        let gradients = try problem.run(on: backend)
        var random = Generator(seed: 9)
        for part in [Part.queryGradient, .keyGradient, .valueGradient] {
            // The slope in a random direction tests every element at once, in some single ones each alone.
            for trial in 0..<8 {
                var direction = gradients[part].map { _ in random.uniform() }
                if trial > 0 {
                    let element = Int(random.next() % UInt64(direction.count))
                    direction = direction.indices.map { $0 == element ? 1 : 0 }
                }
                let size: Float = trial == 0 ? 0.002 : 0.02
                let slope =
                    (try problem.moved(part, direction, size).loss(on: backend)
                        - problem.moved(part, direction, -size).loss(on: backend))
                    / Double(2 * size)
                let expected = zip(gradients[part], direction)
                    .reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                #expect(abs(slope - expected) <= 2e-3 * max(1, abs(expected)), "\(part) \(trial)")
            }
        }
    }

    @Test("Scores of any size stay finite", arguments: machines)
    func largeScores(_ machine: Machine) throws {
        var problem = Problem(
            SequenceTable(lengths: [40, 3]), heads: 2, keyHeads: 1, width: 64, machine.precision)
        problem.scale = 1000
        let (result, expected) = (
            try problem.run(on: machine.backend()), try problem.reference()
        )
        for part in Part.allCases {
            let allFinite = result[part].allSatisfy { $0.isFinite }
            #expect(allFinite, "\(part)")
        }
        #expect(distance(result[.logSumExp], expected[.logSumExp]) <= 1e-6)
    }

    @Test("Scratch grows with the number of tokens, not with its square", arguments: machines)
    func workspace(_ machine: Machine) throws {
        let backend = try machine.backend()
        func bytes(_ length: Int) -> Int {
            backend.attentionWorkspace(
                sequences: SequenceTable(lengths: [length]), heads: 32, keyHeads: 8, width: 128,
                training: true)
        }
        #expect(bytes(8192) < 2 * bytes(4096))
        // dQ in float32 and 2 MiB a thread.
        #expect(bytes(8192) < 8192 * 32 * 128 * 4 * 11 / 10 + (4 << 20))
    }
}

/// What the two passes give.
enum Part: CaseIterable {
    case output, logSumExp, queryGradient, keyGradient, valueGradient
}

/// Random inputs over a table of sequences.
struct Problem {
    var table: SequenceTable
    var heads, keyHeads, width: Int
    var precision: Precision
    var scale: Float
    var query, key, value, outputGradient: [Float]

    init(
        _ table: SequenceTable, heads: Int, keyHeads: Int, width: Int, _ precision: Precision
    ) {
        (self.table, self.heads, self.keyHeads, self.width) = (table, heads, keyHeads, width)
        self.precision = precision
        scale = 1 / Float(width).squareRoot()
        let queries = table.entries.reduce(0) { max($0, $1.queryOffset + $1.queryCount) }
        let keys = table.entries.reduce(0) { max($0, $1.keyOffset + $1.keyCount) }
        var random = Generator(seed: UInt64(queries * 1000 + keys * 10 + width))
        func values(_ rows: Int, _ heads: Int) -> [Float] {
            (0..<rows * heads * width).map { _ in
                let value = 2 * random.uniform()
                return precision == .bfloat16 ? BFloat16.rounded(value) : value
            }
        }
        (query, outputGradient) = (values(queries, heads), values(queries, heads))
        (key, value) = (values(keys, keyHeads), values(keys, keyHeads))
    }

    var queries: Int { query.count / (heads * width) }
    var keys: Int { key.count / (keyHeads * width) }

    func run(on backend: CPUBackend, backward: Bool = true) throws -> Results {
        let tensors = try Tensors(self)
        backend.attention(
            query: tensors.query, key: tensors.key, value: tensors.value, sequences: table,
            scale: scale, output: tensors[.output], logSumExp: tensors[.logSumExp])
        if backward {
            backend.attentionBackward(
                tensors.outputGradient, query: tensors.query, key: tensors.key,
                value: tensors.value, output: tensors[.output], logSumExp: tensors[.logSumExp],
                sequences: table, scale: scale, queryGradient: tensors[.queryGradient],
                keyGradient: tensors[.keyGradient], valueGradient: tensors[.valueGradient])
        }
        return tensors.results
    }

    func reference(backward: Bool = true) throws -> Results {
        let (backend, tensors) = (ReferenceBackend(precision: precision), try Tensors(self))
        backend.attention(
            query: tensors.query, key: tensors.key, value: tensors.value, sequences: table,
            scale: scale, output: tensors[.output], logSumExp: tensors[.logSumExp])
        if backward {
            backend.attentionBackward(
                tensors.outputGradient, query: tensors.query, key: tensors.key,
                value: tensors.value, output: tensors[.output], logSumExp: tensors[.logSumExp],
                sequences: table, scale: scale, queryGradient: tensors[.queryGradient],
                keyGradient: tensors[.keyGradient], valueGradient: tensors[.valueGradient])
        }
        return tensors.results
    }

    /// Sum of outputs times `outputGradient`.
    func loss(on backend: CPUBackend) throws -> Double {
        let output = try run(on: backend, backward: false)[.output]
        return zip(output, outputGradient).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    /// The inputs that `part` is the gradient of, moved by `size` along `direction`.
    func moved(_ part: Part, _ direction: [Float], _ size: Float) -> Problem {
        var result = self
        func move(_ values: [Float]) -> [Float] { zip(values, direction).map { $0 + size * $1 } }
        switch part {
        case .queryGradient: result.query = move(query)
        case .keyGradient: result.key = move(key)
        default: result.value = move(value)
        }
        return result
    }

    /// One sequence as a problem of its own.
    func only(_ entry: SequenceTable.Entry) -> Problem {
        var result = self
        result.table = SequenceTable(lengths: [entry.queryCount])
        result.query = rows(of: query, .output, entry)
        result.outputGradient = rows(of: outputGradient, .output, entry)
        result.key = rows(of: key, .keyGradient, entry)
        result.value = rows(of: value, .valueGradient, entry)
        return result
    }

    /// The values of one sequence.
    func rows(of values: [Float], _ part: Part, _ entry: SequenceTable.Entry) -> [Float] {
        let range = entry.queryOffset..<entry.queryOffset + entry.queryCount
        switch part {
        case .logSumExp:
            return (0..<heads).flatMap { head in range.map { values[head * queries + $0] } }
        case .output, .queryGradient:
            let width = heads * width
            return Array(values[range.lowerBound * width..<range.upperBound * width])
        case .keyGradient, .valueGradient:
            let width = keyHeads * width
            return Array(values[range.lowerBound * width..<range.upperBound * width])
        }
    }
}

/// What a run gave.
struct Results {
    let parts: [Part: [Float]]
    subscript(part: Part) -> [Float] { parts[part, default: []] }
}

/// A problem's tensors; results start as NaN, so what an op leaves out shows.
private struct Tensors {
    let query, key, value, outputGradient: Tensor
    private let parts: [Part: Tensor]

    init(_ p: Problem) throws {
        let type = p.precision.activationType
        let (rows, keyRows) = ([p.queries, p.heads, p.width], [p.keys, p.keyHeads, p.width])
        query = try Self.tensor(p.query, type, rows)
        outputGradient = try Self.tensor(p.outputGradient, type, rows)
        key = try Self.tensor(p.key, type, keyRows)
        value = try Self.tensor(p.value, type, keyRows)
        func empty(_ like: [Float], _ shape: [Int]) throws -> Tensor {
            try Self.tensor(like.map { _ in .nan }, type, shape)
        }
        let statistics = [Float](repeating: .nan, count: p.heads * p.queries)
        parts = [
            .output: try empty(p.query, rows), .queryGradient: try empty(p.query, rows),
            .keyGradient: try empty(p.key, keyRows), .valueGradient: try empty(p.key, keyRows),
            .logSumExp: try Self.tensor(statistics, .float32, [p.heads, p.queries]),
        ]
    }

    subscript(_ part: Part) -> Tensor { parts[part]! }

    var results: Results {
        Results(
            parts: parts.mapValues { tensor in
                tensor.dtype == .float32
                    ? Array(tensor.elements(as: Float.self))
                    : tensor.elements(as: UInt16.self).map(BFloat16.float)
            })
    }

    static func tensor(_ values: [Float], _ dtype: DType, _ shape: [Int]) throws -> Tensor {
        let storage = try HostStorage.allocate(byteCount: values.count * dtype.byteWidth)
        let tensor = Tensor(storage: storage, dtype: dtype, shape: shape)
        for (i, value) in values.enumerated() {
            if dtype == .float32 {
                tensor.elements(as: Float.self)[i] = value
            } else {
                tensor.elements(as: UInt16.self)[i] = BFloat16.bits(value)
            }
        }
        return tensor
    }
}

/// The largest difference as a share of the largest expected value or of 1 (gradients can be all zero); infinite where a value is no number.
private func distance(_ actual: [Float], _ expected: [Float]) -> Float {
    guard actual.count == expected.count, !actual.isEmpty else { return .infinity }
    let size = expected.reduce(Float(1)) { max($0, abs($1)) }
    return zip(actual, expected).reduce(0) { most, pair in
        let error = abs(pair.0 - pair.1) / size
        return error.isFinite ? max(most, error) : .infinity
    }
}

private func sameBits(_ a: [Float], _ b: [Float]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { $0.bitPattern == $1.bitPattern }
}

/// SplitMix64.
private struct Generator {
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
