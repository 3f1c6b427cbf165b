import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// Evaluation against TRL's `evaluate()` on the first five rows, in batches of two, before and after three of the runs.
@Suite struct EvaluationTests {
    private func evaluator(
        _ run: ReferenceRun, adapter: String = "init", rows: Range<Int> = 0..<5
    ) throws -> SFTTrainer {
        let backend = try CPUBackend(precision: .float32, threads: 2)
        return try run.trainer(
            backend, model: try run.model(backend, adapter: adapter),
            evalRows: Array(try run.rows()[rows]))
    }

    private func compare(_ result: EvaluationResult, _ expected: JSON?) throws {
        let entry = try #require(expected)
        for (key, value, tolerance) in [
            ("eval_loss", result.loss, 1e-5), ("eval_entropy", result.entropy, 1e-4),
            ("eval_mean_token_accuracy", result.accuracy, 1e-6),
        ] {
            let wanted = try #require(entry[key]?.double)
            #expect(abs(value - wanted) <= tolerance, "\(key): \(value) for \(wanted)")
        }
        #expect(result.rows == 5 && result.batches == 3)
    }

    @Test(arguments: ["nll-linear-messages", "dft-linear-messages", "nll-cosine-warmup-pc"])
    func `evaluation gives TRL's numbers before and after training`(name: String) throws {
        let run = try ReferenceRun(name)
        let trainer = try evaluator(run)
        try compare(try trainer.evaluate(), run.json["eval_before"])
        try compare(
            try evaluator(run, adapter: "final").evaluate(), run.json["eval_after"])
        _ = try trainer.train()
        try compare(try trainer.evaluate(), run.json["eval_after"])
        let after = try #require(run.json["eval_after"]?["eval_loss"]?.double)
        let before = try #require(run.json["eval_before"]?["eval_loss"]?.double)
        #expect(abs(after - before) > 1e-4)
    }

    /// With dft TRL logs no likelihood, but its nll run begins at the same adapter: the means of the batches, weighted
    /// by rows, are that run's `eval_loss`; weighted by tokens they are `eval_nll`.
    @Test func `the likelihood of a dft run is TRL's nll`() throws {
        let run = try ReferenceRun("dft-linear-messages")
        let whole = try evaluator(run).evaluate()
        let batches = try [0..<2, 2..<4, 4..<5].map { try evaluator(run, rows: $0).evaluate() }
        let byRows = batches.reduce(0) { $0 + $1.negativeLogLikelihood * Double($1.rows) / 5 }
        let nll = try ReferenceRun("nll-linear-messages").json["eval_before"]?["eval_loss"]?.double
        let expected = try #require(nll)
        #expect(abs(byRows - expected) <= 1e-5, "\(byRows) for \(expected)")
        let byTokens = batches.reduce(0) { $0 + $1.negativeLogLikelihood * Double($1.targets) }
        let likelihood = whole.negativeLogLikelihood
        #expect(abs(likelihood - byTokens / Double(whole.targets)) <= 1e-9)
        #expect(abs(likelihood - byRows) > 1e-4)
        // And of a nll run, whose loss it is but for the weights.
        let same = try evaluator(ReferenceRun("nll-linear-messages")).evaluate()
        #expect(same.negativeLogLikelihood == likelihood && same.loss != whole.loss)
    }
}
