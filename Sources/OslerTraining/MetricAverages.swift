package import OslerFormats

/// What is summed up between two log entries. Saved with a checkpoint, so that a resumed run logs the same numbers.
package struct MetricAverages: Sendable, Equatable {
    /// Sum of step losses and their number.
    package var lossSum = 0.0
    package var steps = 0
    /// Sums over micro-batches of token means.
    package var entropySum = 0.0
    package var accuracySum = 0.0
    package var microBatches = 0

    package init() {}

    /// The fields of TRL's log entry that are means.
    package var entry: JSON.Object {
        var object = JSON.Object()
        object["loss"] = .number(lossSum / Double(max(1, steps)))
        object["entropy"] = .number(entropySum / Double(max(1, microBatches)))
        object["mean_token_accuracy"] = .number(accuracySum / Double(max(1, microBatches)))
        return object
    }

    package var json: JSON {
        .object(
            .init([
                ("loss_sum", .number(lossSum)), ("steps", .integer(steps)),
                ("entropy_sum", .number(entropySum)), ("accuracy_sum", .number(accuracySum)),
                ("micro_batches", .integer(microBatches)),
            ]))
    }

    /// What may have been counted.
    static let counts = 0...1 << 53

    /// Nil when a number is missing, not finite, or no count.
    package init?(json: JSON) {
        guard let steps = json["steps"]?.integer, Self.counts.contains(steps),
            let microBatches = json["micro_batches"]?.integer, Self.counts.contains(microBatches),
            let lossSum = json["loss_sum"]?.double, lossSum.isFinite,
            let entropySum = json["entropy_sum"]?.double, entropySum.isFinite,
            let accuracySum = json["accuracy_sum"]?.double, accuracySum.isFinite
        else { return nil }
        (self.lossSum, self.steps) = (lossSum, steps)
        (self.entropySum, self.accuracySum) = (entropySum, accuracySum)
        self.microBatches = microBatches
    }
}
