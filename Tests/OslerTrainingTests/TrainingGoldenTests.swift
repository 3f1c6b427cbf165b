import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// Whole runs against TRL's: the recipe tier.
@Suite struct TrainingGoldenTests {
    @Test(arguments: ReferenceRun.float32)
    func `a float32 run logs TRL's numbers and ends at TRL's adapter`(name: String) throws {
        let run = try ReferenceRun(name)
        let trainer = try run.trainer(try CPUBackend(precision: .float32, threads: 2))
        _ = try trainer.train()
        let isClipped = name == "nll-strong-qkvo-clip"
        try compareLogs(
            trainer, run, loss: isClipped ? 1e-4 : 1e-5, gradientNorm: isClipped ? 1e-3 : 1e-4)
        let rate = try run.options().learningRate
        try compareAdapters(trainer, run, tolerance: (isClipped ? 2e-2 : 2e-3) * rate)
    }

    @Test(arguments: ["bf16-lora-dft", "qlora-bf16-nll", "qlora-bf16-dft"])
    func `a bfloat16 run stays near TRL's`(name: String) throws {
        let run = try ReferenceRun(name)
        let trainer = try run.trainer(try CPUBackend(precision: .bfloat16, threads: 2))
        _ = try trainer.train()
        try compareLogs(trainer, run, loss: 2e-2, gradientNorm: 5e-2, relative: true)
        let (found, expected) = try adapters(trainer, run)
        // The direction in which the adapter moved; B starts at zero.
        var (dot, a, b) = (0.0, 0.0, 0.0)
        for (name, values) in found where name.contains("lora_B") {
            for (x, y) in zip(values, try #require(expected[name])) {
                dot += Double(x * y)
                a += Double(x * x)
                b += Double(y * y)
            }
        }
        #expect(dot / (a * b).squareRoot() > 0.95)
    }

    @Test func `a run on an NF4 base in float32 logs TRL's numbers`() throws {
        let run = try ReferenceRun("qlora-fp32compute-nll")
        let trainer = try run.trainer(try CPUBackend(precision: .float32, threads: 2))
        _ = try trainer.train()
        // TRL holds the adapter in bfloat16 here; the first loss does not see it, later ones do.
        let first = try #require(trainer.logEntries.first?["loss"]?.double)
        let expected = try #require(run.log.first?["loss"]?.double)
        #expect(abs(first - expected) < 2e-5)
        try compareLogs(trainer, run, loss: 2e-2, gradientNorm: 5e-2, relative: true)
    }

    private func compareLogs(
        _ trainer: SFTTrainer, _ run: ReferenceRun, loss: Double, gradientNorm: Double,
        relative: Bool = false
    ) throws {
        let found = trainer.logEntries.filter { $0["loss"] != nil }
        #expect(found.count == run.log.count)
        for (entry, expected) in zip(found, run.log) {
            func close(_ key: String, _ tolerance: Double, relative: Bool = false) throws {
                let value = try #require(entry[key]?.double)
                let wanted = try #require(expected[key]?.double)
                let scale = relative ? abs(wanted) : 1
                #expect(
                    abs(value - wanted) <= tolerance * scale,
                    "\(key) of step \(expected["step"]?.integer ?? 0): \(value) for \(wanted)")
            }
            try close("loss", loss, relative: relative)
            try close("grad_norm", gradientNorm, relative: true)
            try close("learning_rate", 1e-12)
            try close("entropy", relative ? 3e-2 : 1e-4)
            try close("mean_token_accuracy", relative ? 3e-2 : 1e-6)
            try close("num_tokens", 0)
            try close("epoch", 1e-12)
            #expect(entry["step"] == expected["step"])
        }
    }

    private func adapters(
        _ trainer: SFTTrainer, _ run: ReferenceRun
    ) throws -> ([String: [Float]], [String: [Float]]) {
        let golden = try Golden(
            Fixtures.path("train/\(run.name)/final/adapter_model.safetensors"))
        let found = try trainer.adapterValues()
        return (
            found,
            Dictionary(
                uniqueKeysWithValues: try found.keys.map { ($0, try golden.floats($0)) })
        )
    }

    private func compareAdapters(
        _ trainer: SFTTrainer, _ run: ReferenceRun, tolerance: Double
    ) throws {
        let (found, expected) = try adapters(trainer, run)
        for (name, values) in found {
            let difference = GoldenDifference(values, try #require(expected[name]))
            #expect(Double(difference.absolute) <= tolerance, "\(name): \(difference)")
        }
    }
}
