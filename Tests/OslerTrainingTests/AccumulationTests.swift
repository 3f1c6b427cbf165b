import OslerCompute
import OslerData
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// How the rows of a step are cut into micro-batches doesn't change the step.
@Suite struct AccumulationTests {
    /// `nll-text-pc` has rows whose numbers of tokens and of labels differ.
    @Test(arguments: [LossKind.nll, .dft], [(1, 8), (2, 4), (3, 3), (4, 2)])
    func `small batches accumulate to a large one`(
        loss: LossKind, shape: (batch: Int, accumulation: Int)
    ) throws {
        let run = try ReferenceRun("nll-text-pc")
        let rows = Array(try run.rows().prefix(8))
        #expect(Set(rows.map { $0[0].targetCount }).count > 5)
        func step(_ batch: Int, _ accumulation: Int) throws -> SFTTrainer {
            let trainer = try run.trainer(
                try CPUBackend(precision: .float32, threads: 2), rows: rows,
                change: {
                    ($0.batchSize, $0.accumulation) = (batch, accumulation)
                    ($0.maxSteps, $0.loss, $0.sampling) = (1, loss, .sequential)
                    $0.maxGradientNorm = 0
                })
            _ = try trainer.train()
            return trainer
        }
        let whole = try step(8, 1)
        let parts = try step(shape.batch, shape.accumulation)
        let (found, expected) = (try parts.adapterGradients(), try whole.adapterGradients())
        for (name, gradient) in found {
            let difference = GoldenDifference(gradient, try #require(expected[name]))
            #expect(difference.relative < 1e-5, "\(name): \(difference)")
        }
        for key in ["loss", "grad_norm", "num_tokens"] {
            let value = try #require(parts.logEntries.first?[key]?.double)
            let wanted = try #require(whole.logEntries.first?[key]?.double)
            #expect(abs(value - wanted) <= 1e-6 * wanted, "\(key): \(value) for \(wanted)")
        }
    }
}
