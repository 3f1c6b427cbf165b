import OslerCompute
import OslerData
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// Training in float16, whose loss is scaled. On the reference backend: the CPU has no float16.
@Suite struct Float16Tests {
    private let run: ReferenceRun
    /// Steps of one short row each: the reference backend is slow.
    private let rows: [SFTTrainer.Row]

    init() throws {
        run = try ReferenceRun("nll-shuffle-tail")
        rows = try run.rows().map { row in
            row.map {
                Example(
                    ids: Array($0.ids.prefix(40)), lossMask: Array($0.lossMask.prefix(40)),
                    row: $0.row)
            }
        }
    }

    private func trainer(
        scale: Float = 65536, steps: Int = 3, folder: String? = nil,
        report: @escaping (TrainingEvent) throws -> Void = { _ in }
    ) throws -> SFTTrainer {
        try run.trainer(
            ReferenceBackend(precision: .float16), rows: rows,
            output: try folder.map { try RunFolder(path: $0, baseModel: "base") },
            lossScaler: LossScaler(scale: scale),
            change: {
                Self.shorten(&$0, steps)
                $0.saveSteps = folder == nil ? nil : 1
            }, report: report)
    }

    private static func shorten(_ options: inout TrainingOptions, _ steps: Int) {
        (options.maxSteps, options.batchSize, options.accumulation) = (steps, 1, 1)
    }

    private func values(_ key: String, _ trainer: SFTTrainer) -> [Double?] {
        trainer.logEntries.map { $0[key]?.double }
    }

    @Test func `losses and norms follow float32`() throws {
        let scaled = try trainer()
        #expect(try scaled.train() != nil)
        let exact = try run.trainer(
            CPUBackend(precision: .float32, threads: 2), rows: rows,
            change: { Self.shorten(&$0, 3) })
        #expect(try exact.train() != nil)
        for (key, tolerance) in [("loss", 2e-3), ("grad_norm", 2e-2), ("learning_rate", 0)] {
            for (a, e) in zip(values(key, scaled), values(key, exact)) {
                let (actual, expected) = (try #require(a), try #require(e))
                #expect(abs(actual - expected) <= tolerance * abs(expected), "\(key)")
            }
        }
        #expect(values("loss_scale", scaled) == [65536, 65536, 65536])
        #expect(values("loss_scale", exact) == [nil, nil, nil])
    }

    @Test func `steps that overflow are skipped, and the run recovers`() throws {
        var seen: [StepReport] = []
        let trainer = try trainer(
            scale: 0x1p22, steps: 12,
            report: { if case .step(let report) = $0 { seen.append(report) } })
        let start = try trainer.adapterValues()
        #expect(try trainer.train(shouldStop: { true }) == nil)
        #expect(seen.map(\.gradientNorm) == [nil])
        #expect(try trainer.adapterValues() == start)
        #expect(try trainer.train(shouldStop: { seen.last?.gradientNorm != nil }) == nil)
        #expect(try trainer.adapterValues() != start)

        let skipped = seen.count - 1
        #expect(seen.dropLast().allSatisfy { $0.gradientNorm == nil })
        let halvings = (0...skipped).map { 0x1p22 / Double(1 << $0) }
        #expect(seen.compactMap(\.lossScale) == halvings)
        // As in transformers the schedule waits for updates: all of these have the first one's rate.
        #expect(Set(seen.map(\.learningRate)).count == 1)
        #expect(trainer.logEntries.last?["skipped_steps"]?.integer == skipped)
        #expect(trainer.logEntries.first?["grad_norm"] == nil)
    }

    @Test func `stopped and resumed between skipped steps equals uninterrupted`() throws {
        let (whole, parts) = (Fixtures.temporaryFolder(), Fixtures.temporaryFolder())
        defer { for folder in [whole, parts] { try? FileSystem.remove(folder) } }
        let uninterrupted = try trainer(scale: 0x1p20, steps: 6, folder: whole)
        #expect(try uninterrupted.train() != nil)
        #expect(uninterrupted.logEntries.first?["grad_norm"] == nil)
        #expect(uninterrupted.logEntries.last?["grad_norm"] != nil)
        for stop in [1, 4] {
            try? FileSystem.remove(parts)
            let first = try trainer(scale: 0x1p20, steps: 6, folder: parts)
            #expect(try first.train(shouldStop: { first.stepsDone == stop }) == nil)
            // The checkpoint's scale, not the one to begin with.
            let second = try trainer(steps: 6, folder: parts)
            try second.resume(from: parts + "/checkpoint-\(stop)")
            #expect(try second.train() != nil)
            #expect(try second.adapterValues() == uninterrupted.adapterValues())
            for key in ["loss", "grad_norm", "loss_scale", "learning_rate", "skipped_steps"] {
                #expect(values(key, second) == values(key, uninterrupted), "\(key)")
            }
        }
        let file = parts + "/checkpoint-4/osler_state.json"
        var state = try #require(try JSON.parse(file: file).object)
        state["loss_scaler"] = nil
        try AtomicFile.write(JSON.object(state).serialized(), to: file)
        let error = #expect(throws: InputError.self) {
            try trainer(steps: 6, folder: parts).resume(from: parts + "/checkpoint-4")
        }
        #expect(error?.field == "loss_scaler")
    }

    @Test func `gradients that no scale brings into float16 are an error`() throws {
        // B is zero, so that the loss is the base's, but what B's gradient sums up overflows.
        var lora = LoRAConfiguration()
        (lora.rank, lora.alpha) = (4, 1e38)
        let backend = ReferenceBackend(precision: .float16)
        let model = try ModelLoader(ModelFiles(Fixtures.path("lora/base")), backend: backend)
            .load(positions: 512)
        try model.attach(lora, seed: 1)
        for module in try #require(model.adapter).modules {
            let values = try backend.floats(module.pair.a)
            backend.write(values.map { $0 * 5e3 }, to: module.pair.a)
        }
        let trainer = try run.trainer(
            backend, model: model, rows: rows, lossScaler: LossScaler(scale: 2),
            change: { Self.shorten(&$0, 3) })
        let error = #expect(throws: InputError.self) { try trainer.train() }
        #expect(error?.problem.contains("2 steps in a row") == true, "\(error as Any)")
        #expect(error?.remedy?.contains("bf16") == true && trainer.stepsDone == 1)
    }
}
