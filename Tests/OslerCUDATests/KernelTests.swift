#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import OslerCUDA
import OslerCompute
import OslerTestSupport
import Testing

/// What the kernels promise beyond agreeing with the reference on the common cases.
@Suite(.serialized) struct KernelTests {
    /// Whether kernels' asynchronous copies happen at once, or as late as they may.
    private func setEagerCopies(_ eager: Bool) throws {
        try Simulator.set("cusim_set_eager_copies", eager ? 1 : 0)
    }

    /// Attention's tiles arrive by asynchronous copies: right both when they come at once and when
    /// they come as late as they may. The simulator's schedule is another one each time as well.
    @Test(arguments: [Precision.float32, .bfloat16], ConformanceOp.allCases)
    func `gives the same bits whenever copies arrive`(precision: Precision, op: ConformanceOp)
        throws
    {
        if op == .multiply { return }
        let backend = try Simulator.backend(precision)
        for item in ConformanceCase.of(op) {
            try setEagerCopies(false)
            let late = try item.bits(on: backend)
            try setEagerCopies(true)
            #expect(try item.bits(on: backend) == late, "\(item)")
        }
        try setEagerCopies(false)
    }

    /// Element by element the CPU backend's: dropout's masks and rounding too.
    @Test(
        arguments: [Precision.float32, .bfloat16],
        [
            ConformanceOp.zero, .copy, .add, .embed, .gatherRows, .scatterRows, .dropout,
            .addDropout,
        ])
    func `gives the bits of the CPU backend`(precision: Precision, op: ConformanceOp) throws {
        let backend = try Simulator.backend(precision)
        let cpu = try CPUBackend(precision: precision, threads: 1)
        for item in ConformanceCase.of(op) where !item.detail.contains("awkward") {
            #expect(try item.bits(on: backend) == item.bits(on: cpu), "\(item)")
        }
    }

    /// Every width that is a multiple of 8, with groups that don't divide a tile of 64 rows.
    @Test(arguments: [Precision.float32, .bfloat16], Array(stride(from: 8, through: 128, by: 8)))
    func `attention takes heads of any width`(precision: Precision, width: Int) throws {
        try checkAttention(on: Simulator.backend(precision), width: width)
    }

    /// Turing's tiles of the widest heads are shorter.
    @Test(arguments: [32, 64, 72, 128], [false, true])
    func `attention in float16`(width: Int, onTuring: Bool) throws {
        try checkAttention(
            on: onTuring ? Simulator.turing(.float16) : Simulator.backend(.float16), width: width)
    }

    private func checkAttention(on backend: CUDABackend, width: Int) throws {
        let heads = [(5, 1), (3, 3), (6, 2), (7, 1)][width / 8 % 4]
        for (item, op) in [
            (attention(heads, width), ConformanceOp.attention),
            (attentionBackward(heads, width), .attentionBackward),
        ] {
            let one = ConformanceCase(op, "\(heads) of \(width)", item)
            for misaligned in [false, true] {
                #expect(try one.mismatches(on: backend, misaligned: misaligned).isEmpty)
            }
        }
    }

    private typealias Body = @Sendable (ConformanceRun) throws -> Void

    /// Cached keys, and sequences whose last tile is full, one over and one short.
    private func attention(_ heads: (Int, Int), _ width: Int) -> Body {
        let (first, keys) = (heads.0, heads.1)
        return { run in
            let table = SequenceTable(entries: [
                .init(queryOffset: 0, queryCount: 3, keyOffset: 0, keyCount: 64),
                .init(queryOffset: 3, queryCount: 1, keyOffset: 64, keyCount: 65),
                .init(queryOffset: 4, queryCount: 63, keyOffset: 129, keyCount: 63),
            ])
            let q = try run.normal(run.activation, [67, first, width])
            let k = try run.normal(run.activation, [192, keys, width])
            let v = try run.normal(run.activation, [192, keys, width])
            let y = try run.output(run.activation, q.shape)
            let sums = try run.output(.float32, [first, 67])
            run.backend.attention(
                query: q, key: k, value: v, sequences: table,
                scale: 1 / Float(width).squareRoot(), output: y, logSumExp: sums)
            try run.record("output", y)
            try run.record("log-sum-exp", sums)
        }
    }

    private func attentionBackward(_ heads: (Int, Int), _ width: Int) -> Body {
        let (first, keys) = (heads.0, heads.1)
        return { run in
            let (type, count) = (run.activation, 86)
            let table = SequenceTable(lengths: [65, 20, 1])
            let scale = 1 / Float(width).squareRoot()
            let q = try run.normal(type, [count, first, width])
            let k = try run.normal(type, [count, keys, width])
            let v = try run.normal(type, [count, keys, width])
            let dy = try run.normal(type, q.shape)
            let y = try run.output(type, q.shape)
            let sums = try run.output(.float32, [first, count])
            run.backend.attention(
                query: q, key: k, value: v, sequences: table, scale: scale, output: y,
                logSumExp: sums)
            let gradients = try [q, k, v].map { try run.output(type, $0.shape) }
            run.backend.attentionBackward(
                dy, query: q, key: k, value: v, output: y, logSumExp: sums, sequences: table,
                scale: scale, queryGradient: gradients[0], keyGradient: gradients[1],
                valueGradient: gradients[2])
            for (name, gradient) in zip(["query", "key", "value"], gradients) {
                try run.record(name, gradient)
            }
        }
    }

    /// Few rows on many keys: their tiles of keys are shared out and merged.
    @Test(
        arguments: [
            ((1, 1, 8), Precision.bfloat16), ((4, 1, 72), .bfloat16), ((2, 2, 128), .bfloat16),
            ((2, 2, 128), .float16),
        ], [1, 3])
    func `attention over many keys`(
        shape: ((Int, Int, Int), Precision), sequences: Int
    ) throws {
        let (heads, precision) = shape
        try checkManyKeys(heads, sequences, on: try Simulator.backend(precision))
        if precision == .float16 {
            try checkManyKeys(heads, sequences, on: try Simulator.turing(precision))
        }
    }

    private func checkManyKeys(
        _ heads: (Int, Int, Int), _ sequences: Int, on backend: CUDABackend
    ) throws {
        let entries: [SequenceTable.Entry] = [
            .init(queryOffset: 0, queryCount: 1, keyOffset: 0, keyCount: 1100),
            .init(queryOffset: 1, queryCount: 5, keyOffset: 1100, keyCount: 514),
            .init(queryOffset: 6, queryCount: 1, keyOffset: 1614, keyCount: 3),
        ]
        let table = SequenceTable(entries: Array(entries.prefix(sequences)))
        let item = ConformanceCase(.attention, "\(heads)") { run in
            let q = try run.normal(run.activation, [7, heads.0, heads.2], scale: 3)
            let k = try run.normal(run.activation, [1618, heads.1, heads.2])
            let v = try run.normal(run.activation, [1618, heads.1, heads.2])
            let y = try run.normal(run.activation, q.shape)
            let sums = try run.normal([heads.0, 7])
            run.backend.attention(
                query: q, key: k, value: v, sequences: table,
                scale: 1 / Float(heads.2).squareRoot(), output: y, logSumExp: sums)
            try run.record("output", y)
            try run.record("log-sum-exp", sums)
        }
        #expect(try item.mismatches(on: backend).isEmpty)
        #expect(try item.mismatches(on: backend, misaligned: true).isEmpty)
    }

    /// What a sequence gives doesn't depend on the others of its batch.
    @Test func `attention of a sequence has the same bits alone`() throws {
        let backend = try Simulator.backend(.bfloat16)
        let entries: [SequenceTable.Entry] = [
            .init(queryOffset: 0, queryCount: 1, keyOffset: 0, keyCount: 900),
            .init(queryOffset: 1, queryCount: 20, keyOffset: 900, keyCount: 600),
            .init(queryOffset: 21, queryCount: 16, keyOffset: 1500, keyCount: 700),
        ]
        func results(_ entries: [SequenceTable.Entry]) throws -> [Float] {
            let run = ConformanceRun(on: backend)
            let q = try run.normal(.bfloat16, [37, 4, 16])
            let (k, v) = (
                try run.normal(.bfloat16, [2200, 2, 16]), try run.normal(.bfloat16, [2200, 2, 16])
            )
            let (y, sums) = (try run.output(.bfloat16, q.shape), try run.output(.float32, [4, 37]))
            backend.zero(y)
            backend.attention(
                query: q, key: k, value: v, sequences: SequenceTable(entries: entries),
                scale: 0.25, output: y, logSumExp: sums)
            return try backend.floats(y)
        }
        let together = try results(entries)
        for entry in entries {
            let rows = entry.queryOffset * 64..<(entry.queryOffset + entry.queryCount) * 64
            #expect(try results([entry])[rows] == together[rows])
        }
    }

    /// NF4 in blocks that hold whole groups of eight values, and in ones that don't; few rows decode
    /// in the product, many before it.
    @Test(arguments: [20, 32, 64, 128, 4096], [Precision.bfloat16, .float16])
    func `NF4 in blocks of any size`(blockSize: Int, precision: Precision) throws {
        for nested in [false, true] { try checkNF4(blockSize, nested, precision) }
    }

    private func checkNF4(_ blockSize: Int, _ nested: Bool, _ precision: Precision) throws {
        let backend = try Simulator.backend(precision)
        for (m, n, k) in [(3, 9, 64), (16, 20, 77), (20, 33, 100)] {
            let item = ConformanceCase(.multiply, "[\(m), \(n)] over \(k)") { run in
                let blocks = (n * k + blockSize - 1) / blockSize
                let scales = (0..<blocks).map { 1 + Float($0 % 5) }
                let matrix = NF4Matrix(
                    rows: n, columns: k, blockSize: blockSize,
                    codes: try run.randomBytes((n * k + 1) / 2),
                    absmax: nested
                        ? try run.randomBytes(blocks) : try run.tensor(scales, [blocks]),
                    nested: nested
                        ? NF4Matrix.Nested(
                            absmax: try run.tensor(
                                (0...blocks / 16).map { 1 + Float($0) }, [blocks / 16 + 1]),
                            table: try run.tensor(DynamicMap.signed, [256]), offset: 1.5,
                            blockSize: 16) : nil)
                let (x, y) = (
                    try run.normal(.bfloat16, [m, k]), try run.output(.float32, [m, n])
                )
                run.backend.multiply([.forward(x, .nf4(matrix))], adding: nil, bias: nil, into: y)
                try run.record("output", y)
            }
            #expect(try item.mismatches(on: backend).isEmpty, "\(item)")
        }
    }

    /// The kernel stops, and the host learns of it when it waits.
    @Test func `an index out of range is a failure`() throws {
        let backend = try Simulator.backend(.bfloat16)
        let table = try backend.tensor([Float](repeating: 0, count: 30), .bfloat16, [3, 10])
        let output = try backend.tensor(.float32, [2, 10])
        backend.embed(ids: try backend.tensor([Int32(2), 3], [2]), table: table, into: output)
        #expect(throws: CUDAError.self) { try backend.synchronize() }
    }

    /// Compute capability 7.5 has kernels in float16, which are its own where they multiply.
    @Test(arguments: [ConformanceOp.multiply, .attention, .attentionBackward, .swiglu])
    func `Turing computes in float16`(op: ConformanceOp) throws {
        let backend = try Simulator.turing(nil)
        #expect(backend.precision == .float16 && backend.name == "cuda-sm75")
        for item in ConformanceCase.of(op) where item.detail.count % 3 == 0 {
            #expect(try item.mismatches(on: backend).isEmpty, "\(item)")
        }
    }

    @Test(arguments: [Precision.float32, .bfloat16])
    func `Turing computes in nothing else`(precision: Precision) throws {
        let thrown = #expect(throws: CUDAError.self) { try Simulator.turing(precision) }
        #expect(thrown?.problem.contains("7.5") == true && thrown?.remedy?.contains("fp16") == true)
    }
}
