import OslerCompute
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

    @Test func `a checkpoint of another run is refused`() throws {
        let folder = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(folder) }
        let first = try trainer(folder, optimizer: .adamW)
        var steps = 0
        _ = try first.train(shouldStop: {
            steps += 1
            return steps == 2
        })
        let run = try ReferenceRun("nll-shuffle-tail")
        let other = try run.trainer(
            try CPUBackend(precision: .bfloat16, threads: 2),
            output: try RunFolder(path: folder, baseModel: "base"),
            change: {
                Self.logging(&$0)
                $0.learningRate = 1e-3
            })
        let error = #expect(throws: InputError.self) {
            try other.resume(from: folder + "/checkpoint-2")
        }
        #expect(error?.field == "learning_rate")
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
