internal import OslerCompute
internal import OslerFormats
internal import OslerData
internal import OslerModels
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What an evaluation found.
package struct EvaluationResult: Sendable, Equatable {
    /// The chosen loss as the Trainer reports it: token means of batches, weighted by the batches' rows.
    package var loss = 0.0
    /// Negative log-likelihood per token over all tokens in the loss, in nats.
    package var negativeLogLikelihood = 0.0
    /// Plain means over batches, as TRL logs them.
    package var entropy = 0.0
    package var accuracy = 0.0
    package var targets = 0
    package var rows = 0
    package var batches = 0
    package var seconds = 0.0

    package var perplexity: Double { exp(negativeLogLikelihood) }
}

extension SFTTrainer {
    /// Loss on the evaluation rows, in order, in batches of `evalBatchSize`.
    package func evaluate(usesAdapters: Bool = true) throws -> EvaluationResult {
        let start = monotonicSeconds()
        var result = EvaluationResult()
        var likelihoodSum = 0.0
        let slices = microBatchSlices(Array(evalRows.indices), size: options.evalBatchSize)
        for (index, slice) in slices.enumerated() {
            try report(.evaluating(batch: index, of: slices.count))
            let batch = MicroBatch(slice.flatMap { evalRows[$0] })
            result.rows += slice.count
            guard batch.targetCount > 0 else { continue }
            let rows = try model.lossRows(
                TokenBatch(batch), usesAdapters: usesAdapters, arena: arena)
            let count = Double(rows.count)
            result.loss += rows.lossSum(options.loss) / count * Double(slice.count)
            likelihoodSum += rows.lossSum(.nll)
            result.entropy += rows.entropySum / count
            result.accuracy += rows.topSum / count
            result.targets += rows.count
            result.batches += 1
        }
        result.loss /= Double(max(1, result.rows))
        result.entropy /= Double(max(1, result.batches))
        result.accuracy /= Double(max(1, result.batches))
        result.negativeLogLikelihood = likelihoodSum / Double(max(1, result.targets))
        result.seconds = monotonicSeconds() - start
        return result
    }

    func evaluateAndLog() throws {
        let result = try evaluate()
        var entry = JSON.Object()
        entry["eval_loss"] = .number(result.loss)
        entry["eval_nll"] = .number(result.negativeLogLikelihood)
        entry["eval_perplexity"] = .number(result.perplexity)
        entry["eval_entropy"] = .number(result.entropy)
        entry["eval_mean_token_accuracy"] = .number(result.accuracy)
        entry["eval_num_tokens"] = .integer(state.tokens)
        entry["eval_runtime"] = .number(result.seconds)
        entry["eval_samples_per_second"] = .number(Double(result.rows) / result.seconds)
        entry["eval_steps_per_second"] = .number(Double(result.batches) / result.seconds)
        try append(entry)
    }
}
