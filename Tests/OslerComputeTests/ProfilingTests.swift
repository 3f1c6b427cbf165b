import OslerCompute
import OslerTestSupport
import Synchronization
import Testing

/// What `ProfilingBackend` counts; that it changes no result is the conformance suite's business.
@Suite struct ProfilingTests {
    /// A clock that goes on by a second whenever it is read: every operation takes one.
    private static func backend() -> ProfilingBackend {
        let seconds = Mutex(0.0)
        return ProfilingBackend(ReferenceBackend(precision: .float32)) {
            seconds.withLock {
                $0 += 1
                return $0
            }
        }
    }

    private func entry(
        _ profile: Profile, _ operation: BackendOperation, _ role: ProfiledProduct.Role? = nil,
        further: Int = 0
    ) throws -> Profile.Entry {
        try #require(
            profile.entries.first {
                $0.operation.operation == operation && $0.operation.product?.role == role
                    && ($0.operation.product?.furtherProducts ?? 0) == further
            })
    }

    @Test func `products are counted by role and shape`() throws {
        let backend = Self.backend()
        let x = try backend.tensor([Float](repeating: 1, count: 5 * 3), [5, 3])
        let weight = FrozenMatrix.dense(
            try backend.tensor([Float](repeating: 1, count: 7 * 3), .bfloat16, [7, 3]))
        let u = try backend.tensor([Float](repeating: 1, count: 5 * 2), [5, 2])
        let b = FrozenMatrix.dense(
            try backend.tensor([Float](repeating: 1, count: 7 * 2), [7, 2]))
        let y = try backend.tensor(.float32, [5, 7])
        let dx = try backend.tensor(.float32, [5, 3])
        let db = try backend.tensor(.float32, [7, 2])
        backend.restart()
        for _ in 0..<2 {
            backend.multiply(
                [.forward(x, weight), .forward(u, b, scale: 2)], adding: nil, bias: nil, into: y)
        }
        backend.multiply([.backward(y, weight)], adding: nil, bias: nil, into: dx)
        backend.multiply([.gradient(y, u)], adding: nil, bias: nil, into: db)
        backend.multiply([
            Multiplication([.backward(y, weight)], into: dx),
            Multiplication([.gradient(y, u)], into: db),
        ])
        let profile = backend.profile

        let forward = try entry(profile, .multiply, .forward, further: 1)
        #expect(forward.operation.product?.format == "bf16")
        #expect(forward.operation.product?.rows == 3 && forward.operation.product?.columns == 7)
        #expect(forward.calls == 2)
        // 2 * 5 * 7 * 3 and 2 * 5 * 7 * 2, twice.
        #expect(forward.cost.flops == 2 * (210 + 140))
        // x, weight, u, b and y: 60 + 42 + 40 + 56 + 140, twice.
        #expect(forward.cost.bytes == 2 * 338)
        let backward = try entry(profile, .multiply, .backward)
        #expect(backward.operation.product?.rows == 7 && backward.operation.product?.columns == 3)
        #expect(backward.cost.flops == 210)
        let gradient = try entry(profile, .multiply, .gradient)
        #expect(gradient.operation.product?.rows == 7 && gradient.operation.product?.columns == 2)
        #expect(gradient.operation.product?.format == "f32")
        #expect(gradient.cost.flops == 2 * 7 * 2 * 5)
        // The two in one call count where the larger one belongs.
        let both = try entry(profile, .multiply, .backward, further: 1)
        #expect(both.calls == 1 && both.operation.product?.furtherOutputs == 1)
        #expect(both.operation.product?.rows == 7 && both.operation.product?.columns == 3)
        #expect(both.cost.flops == 210 + 140)
        #expect(both.cost.bytes == (140 + 42 + 60) + (140 + 40 + 56))
        #expect(forward.operation.product?.furtherOutputs == 0)
        #expect(try backend.floats(y) == [Float](repeating: 7, count: 35))
    }

    @Test func `time in operations and between them is all of the time`() throws {
        let backend = Self.backend()
        let x = try backend.tensor([Float](repeating: 1, count: 3), [3])
        backend.restart()
        backend.zero(x)
        backend.add(x, to: try backend.tensor(.float32, [3]))
        backend.add(x, to: try backend.tensor(.float32, [3]))
        let profile = backend.profile
        // Five operations read the clock twice, and it was read once more at the end.
        #expect(profile.seconds == 11)
        #expect(profile.operationSeconds == 5 && profile.betweenSeconds == 6)
        #expect(profile.entries.map(\.operation.operation) == [.add, .allocate, .zero])
        #expect(profile.entries.map(\.seconds) == [2, 2, 1])
        backend.restart()
        #expect(backend.profile.entries.isEmpty)
    }

    @Test func `attention counts the visible scores`() throws {
        let backend = Self.backend()
        let run = ConformanceRun(on: backend)
        // 3 and 2 queries; 6 and 3 scores.
        let sequences = SequenceTable(lengths: [3, 2])
        #expect(sequences.visibleScores == 9)
        let cached = SequenceTable(
            entries: [.init(queryOffset: 0, queryCount: 2, keyOffset: 0, keyCount: 5)])
        #expect(cached.visibleScores == 4 + 5)
        let (query, key) = (try run.normal([5, 4, 8]), try run.normal([5, 2, 8]))
        let (output, value) = (try run.normal([5, 4, 8]), try run.normal([5, 2, 8]))
        let logs = try run.output(.float32, [4, 5])
        backend.attention(
            query: query, key: key, value: value, sequences: sequences, scale: 1, output: output,
            logSumExp: logs)
        backend.attentionBackward(
            output, query: query, key: key, value: value, output: output, logSumExp: logs,
            sequences: sequences, scale: 1, queryGradient: try run.output(.float32, [5, 4, 8]),
            keyGradient: try run.output(.float32, [5, 2, 8]),
            valueGradient: try run.output(.float32, [5, 2, 8]))
        let profile = backend.profile
        let forward = try entry(profile, .attention)
        #expect(forward.cost.flops == 4 * 9 * 4 * 8)
        // Query and output 640 each, key and value 320 each, log sums 80.
        #expect(forward.cost.bytes == 2000)
        let backward = try entry(profile, .attentionBackward)
        #expect(backward.cost.flops == 8 * 9 * 4 * 8)
        #expect(backward.cost.bytes == 4 * 640 + 4 * 320 + 80)
    }

    @Test func `an operation that throws is counted, and its error comes through`() throws {
        let backend = ProfilingBackend(try CPUBackend(precision: .float32, threads: 1))
        backend.restart()
        #expect(throws: CPUBackendError.self) { try backend.allocate(byteCount: -1) }
        #expect(backend.profile.entries.map(\.calls) == [1])
        #expect(backend.cpu != nil)
    }
}
