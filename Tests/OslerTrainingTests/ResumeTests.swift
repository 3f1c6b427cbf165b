import OslerCompute
import OslerData
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// A run that is stopped anywhere and resumed equals one that never stopped, bit for bit.
@Suite struct ResumeTests {
    private static func logging(_ options: inout TrainingOptions) {
        options.loggingSteps = 3
        options.evalSteps = 4
        options.saveSteps = 1
        options.saveTotalLimit = 3
    }

    private func trainer(
        _ folder: String, optimizer: OptimizerKind, threads: Int = 2,
        report: @escaping (TrainingEvent) throws -> Void = { _ in }
    ) throws -> SFTTrainer {
        let run = try ReferenceRun("nll-shuffle-tail")
        return try run.trainer(
            try CPUBackend(precision: .bfloat16, threads: threads),
            output: try RunFolder(path: folder, baseModel: "base"),
            change: {
                Self.logging(&$0)
                $0.optimizer = optimizer
                $0.checkpointing = .block
            }, report: report)
    }

    @Test(arguments: [1, 2, 3, 5, 8], [OptimizerKind.adamW, .adamW8bit])
    func `stopped and resumed equals uninterrupted`(at stop: Int, optimizer: OptimizerKind) throws {
        let (whole, parts) = (Fixtures.temporaryFolder(), Fixtures.temporaryFolder())
        defer { for folder in [whole, parts] { try? FileSystem.remove(folder) } }
        let uninterrupted = try trainer(whole, optimizer: optimizer)
        #expect(try uninterrupted.train() != nil)

        let first = try trainer(parts, optimizer: optimizer)
        var steps = 0
        let stopped = try first.train(shouldStop: {
            steps += 1
            return steps == stop
        })
        #expect(stopped == nil)
        // Another number of threads must not matter.
        let second = try trainer(parts, optimizer: optimizer, threads: 3)
        try second.resume(from: parts + "/checkpoint-\(stop)")
        #expect(try second.train() != nil)
        #expect(try second.adapterValues() == uninterrupted.adapterValues())
        func log(_ trainer: SFTTrainer) -> [JSON] {
            trainer.logEntries.map { entry in
                var object = entry.object ?? .init()
                for key in object.keys where key.contains("runtime") || key.contains("per_second") {
                    object[key] = nil
                }
                return .object(object)
            }
        }
        #expect(log(second) == log(uninterrupted))
        #expect(try FileSystem.list(parts).filter { $0.hasPrefix("checkpoint-") }.count == 3)
    }

    /// A run of two steps, and what resuming its last checkpoint in `other` says.
    private func refusal(
        resuming other: (ReferenceRun, RunFolder) throws -> SFTTrainer
    ) throws -> InputError? {
        let folder = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(folder) }
        var steps = 0
        _ = try trainer(folder, optimizer: .adamW).train(shouldStop: {
            steps += 1
            return steps == 2
        })
        let next = try other(
            try ReferenceRun("nll-shuffle-tail"), try RunFolder(path: folder, baseModel: "base"))
        let before = try next.adapterValues()
        let error = #expect(throws: InputError.self) {
            try next.resume(from: folder + "/checkpoint-2")
        }
        #expect(try next.adapterValues() == before && next.stepsDone == 0)
        return error
    }

    struct Change: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let apply: @Sendable (inout TrainingOptions) -> Void
        init(_ field: String, _ apply: @escaping @Sendable (inout TrainingOptions) -> Void) {
            (testDescription, self.apply) = (field, apply)
        }
    }

    @Test(arguments: [
        Change("learning_rate") { $0.learningRate = 1e-3 },
        Change("per_device_train_batch_size") { $0.batchSize = 1 },
        Change("gradient_accumulation_steps") { $0.accumulation = 2 },
        Change("max_steps") { $0.maxSteps = 100 },
        Change("lr_scheduler_type") { $0.schedule = .cosine },
        Change("warmup_steps") { $0.warmup = 2 },
        Change("num_cycles") { $0.cosineCycles = 2 },
        Change("min_lr_rate") { $0.minimumRateShare = 0.1 },
        Change("optim") { $0.optimizer = .adamW8bit },
        Change("weight_decay") { $0.hyperparameters.weightDecay = 0.5 },
        Change("adam_beta1") { $0.hyperparameters.beta1 = 0.5 },
        Change("adam_beta2") { $0.hyperparameters.beta2 = 0.5 },
        Change("adam_epsilon") { $0.hyperparameters.epsilon = 0.5 },
        Change("max_grad_norm") { $0.maxGradientNorm = 0 },
        Change("loss_type") { $0.loss = .dft },
        Change("seed") { $0.seed = 7 }, Change("data_seed") { $0.dataSeed = 7 },
        Change("train_sampling_strategy") { $0.sampling = .sequential },
    ])
    func `a checkpoint of a run with other settings is refused`(_ change: Change) throws {
        let error = try refusal { run, output in
            try run.trainer(
                try CPUBackend(precision: .bfloat16, threads: 2), output: output,
                change: {
                    Self.logging(&$0)
                    change.apply(&$0)
                })
        }
        #expect(error?.field == change.testDescription)
        #expect(error?.problem.contains("this run has") == true)
    }

    enum DataChange: CaseIterable {
        case token, label, order, border

        /// Rows with as many rows, tokens and, but for `label`, labels as before.
        func apply(_ rows: inout [SFTTrainer.Row]) {
            switch self {
            case .token: rows[5][0].ids[7] += 1
            case .label: rows[5][0].lossMask[7].toggle()
            case .order: rows.swapAt(2, 3)
            case .border:
                let (ids, mask) = (rows[5][0].ids, rows[5][0].lossMask)
                rows[5] = [0..<9, 9..<ids.count].map {
                    Example(ids: Array(ids[$0]), lossMask: Array(mask[$0]), row: 5)
                }
            }
        }
    }

    @Test(arguments: DataChange.allCases)
    func `a checkpoint of a run on other data is refused`(_ change: DataChange) throws {
        let error = try refusal { run, output in
            var rows = try run.rows()
            change.apply(&rows)
            return try run.trainer(
                try CPUBackend(precision: .bfloat16, threads: 2), rows: rows, output: output,
                change: Self.logging)
        }
        #expect(error?.field == "train_data")
        #expect(error?.problem.contains("other rows") == true, "\(String(describing: error))")
    }

    @Test func `a checkpoint without a fingerprint is refused`() throws {
        let error = try refusal { run, output in
            let file = output.path + "/checkpoint-2/osler_state.json"
            var state = try JSON.parse(file: file).object ?? .init()
            state["fingerprint"] = nil
            try AtomicFile.write(JSON.object(state).serialized(), to: file)
            return try run.trainer(
                try CPUBackend(precision: .bfloat16, threads: 2), output: output,
                change: Self.logging)
        }
        #expect(error?.problem.contains("nothing here says") == true)
    }

    @Test(
        arguments: [
            ("step", -1), ("step", 1_000_000), ("step", 0.5), ("tokens", -1),
            ("tokens", .integer(.max)),
            ("loss_total", .number(.nan)), ("averages", nil), ("averages.steps", .integer(.max)),
            ("averages.micro_batches", -1), ("averages.loss_sum", .number(.infinity)),
        ] as [(String, JSON?)])
    func `a checkpoint with impossible numbers is refused`(key: String, value: JSON?) throws {
        let folder = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(folder) }
        let whole = try trainer(folder, optimizer: .adamW)
        var steps = 0
        _ = try whole.train(shouldStop: {
            steps += 1
            return steps == 1
        })
        let file = folder + "/checkpoint-1/osler_state.json"
        var object = try #require(try JSON.parse(file: file).object)
        let parts = key.split(separator: ".").map(String.init)
        if parts.count == 2 {
            var section = try #require(object[parts[0]]?.object)
            section[parts[1]] = value
            object[parts[0]] = .object(section)
        } else {
            object[key] = value
        }
        try AtomicFile.write(JSON.object(object).serialized(), to: file)
        let error = #expect(throws: InputError.self) {
            try whole.resume(from: folder + "/checkpoint-1")
        }
        #expect(error?.file == file && error?.field == parts[0] && error?.remedy != nil)
    }

    @Test(arguments: ["osler_state.json", "optimizer.safetensors", "adapter_model.safetensors"])
    func `a checkpoint with a missing or cut file is refused`(file: String) throws {
        let folder = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(folder) }
        var steps = 0
        _ = try trainer(folder, optimizer: .adamW).train(shouldStop: {
            steps += 1
            return steps == 1
        })
        let path = folder + "/checkpoint-1/" + file
        let bytes = try FileSystem.read(path)
        try AtomicFile.write(Array(bytes.prefix(bytes.count / 2)), to: path)
        let cut = #expect(throws: InputError.self) {
            try trainer(folder, optimizer: .adamW).resume(from: folder + "/checkpoint-1")
        }
        #expect(cut?.file?.hasSuffix(file) == true)
        try FileSystem.remove(path)
        #expect(throws: InputError.self) {
            try trainer(folder, optimizer: .adamW).resume(from: folder + "/checkpoint-1")
        }
    }
}
