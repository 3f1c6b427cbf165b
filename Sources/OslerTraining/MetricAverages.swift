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

    package init(json: JSON) {
        lossSum = json["loss_sum"]?.double ?? 0
        steps = json["steps"]?.integer ?? 0
        entropySum = json["entropy_sum"]?.double ?? 0
        accuracySum = json["accuracy_sum"]?.double ?? 0
        microBatches = json["micro_batches"]?.integer ?? 0
    }
}
