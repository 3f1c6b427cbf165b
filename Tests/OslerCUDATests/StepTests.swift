import OslerCUDA
import OslerCompute
import OslerData
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// Training as a card sees it: what is queued, and when the host waits.
@Suite struct StepTests {
    /// Micro-batches of 20 tokens in two sequences, whose lengths are never the same again.
    private static let rows: [SFTTrainer.Row] = (0..<24).map { index in
        let length = index % 2 == 0 ? 4 + index / 2 : 16 - index / 2
        return [
            Example(
                ids: (0..<length).map { Int32(($0 * 7 + index) % 200) },
                lossMask: (0..<length).map { $0 > 0 }, row: index)
        ]
    }

    private func trainer(
        _ backend: any Backend, accumulation: Int,
        report: @escaping (TrainingEvent) throws -> Void = { _ in }
    ) throws -> SFTTrainer {
        let model = try ModelLoader(
            ModelFiles(Fixtures.path("lora/base")), backend: backend, quantization: .none
        ).load(positions: 64)
        try model.attach(LoRAConfiguration(), seed: 1)
        var options = TrainingOptions()
        (options.batchSize, options.accumulation, options.maxSteps) = (2, accumulation, 3)
        (options.sampling, options.saveSteps, options.learningRate) = (.sequential, nil, 1e-3)
        return try SFTTrainer(
            model: model, trainRows: Self.rows, evalRows: [], options: options,
            arena: try Arena(backend: backend, byteCount: 16 << 20), output: nil, report: report)
    }

    @Test(.enabled(if: !Simulator.isReal), arguments: [Precision.float32, .bfloat16])
    func `the host waits twice in a step, for the losses and for the norm`(precision: Precision)
        throws
    {
        var waits: [Int] = []
        let trainer = try trainer(Simulator.backend(precision), accumulation: 4) {
            if case .step = $0 { waits.append(try Simulator.hostWaits()) }
        }
        _ = try trainer.train()
        // The first step gets its scratch, and looks at every adapter's gradient.
        #expect(waits.count == 3 && waits[1] - waits[0] == 2 && waits[2] - waits[1] == 2)
    }

    @Test(.enabled(if: !Simulator.isReal))
    func `the host waits for an upload only where the ring's last lap is unread`() throws {
        let backend = try Simulator.backend(.float32)
        let small = try backend.tensor(.int32, [3])
        let large = try backend.tensor(.uint8, [15 << 20])
        let bytes = [UInt8](repeating: 1, count: large.count)
        let before = try Simulator.hostWaits()
        for value in 0..<Int32(300) { backend.write([value, value, value], to: small) }
        backend.write(bytes, to: large)
        #expect(try Simulator.hostWaits() == before)
        backend.write(bytes, to: large)
        #expect(try Simulator.hostWaits() > before)
        #expect(try backend.bytes(small) == [43, 1, 0, 0, 43, 1, 0, 0, 43, 1, 0, 0])
    }

    /// What a micro-batch leaves in the arena and the tables that it is computed with are the next
    /// one's to overwrite, before the card has done either.
    @Test func `micro-batches that are queued together give the CPU's steps`() throws {
        func losses(_ backend: any Backend) throws -> [Double] {
            var losses: [Double] = []
            let trainer = try trainer(backend, accumulation: 4) {
                if case .step(let report) = $0 {
                    losses += [report.loss, report.gradientNorm ?? .nan]
                }
            }
            _ = try trainer.train()
            return losses
        }
        let found = try losses(try Simulator.backend(.float32))
        let expected = try losses(try CPUBackend(precision: .float32, threads: 1))
        #expect(found.count == 6 && expected.count == 6)
        for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-5 * b) }
    }
}
