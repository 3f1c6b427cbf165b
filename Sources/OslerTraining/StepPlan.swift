internal import OslerFormats

/// How many optimizer steps a run has and which micro-batches each one takes, as transformers' Trainer counts them.
package struct StepPlan: Sendable, Equatable {
    package var microBatchesPerEpoch: Int
    package var stepsPerEpoch: Int
    package var totalSteps: Int
    /// Epochs begun, the last one perhaps not finished.
    package var epochs: Int
    package var accumulation: Int

    /// The plan goes through all steps before a run: more than any run takes.
    private static let largestSteps = 1_000_000

    /// - Parameters:
    ///   - epochs: may be a fraction; ignored when `maxSteps` is positive.
    /// - Throws: when there is nothing to train on, or more steps than could ever be taken.
    package init(
        examples: Int, batchSize: Int, accumulation: Int, epochs: Double, maxSteps: Int
    ) throws {
        precondition(batchSize > 0 && accumulation > 0)
        guard examples > 0 else {
            throw InputError(
                "no rows to train on", field: "dataset_name",
                remedy: "osler preflight says where they are lost")
        }
        self.accumulation = accumulation
        microBatchesPerEpoch = (examples + batchSize - 1) / batchSize
        stepsPerEpoch = max(1, (microBatchesPerEpoch + accumulation - 1) / accumulation)
        if maxSteps > 0 {
            totalSteps = maxSteps
            self.epochs = (maxSteps + stepsPerEpoch - 1) / stepsPerEpoch
        } else {
            totalSteps = Int((epochs * Double(stepsPerEpoch)).rounded(.up))
            self.epochs = Int(epochs.rounded(.up))
        }
        guard totalSteps <= Self.largestSteps else {
            throw InputError(
                "\(totalSteps) steps are more than \(Self.largestSteps)",
                field: maxSteps > 0 ? "max_steps" : "num_train_epochs", remedy: "train for fewer")
        }
    }

    /// Where step `step` (from 0) takes its micro-batches: the epoch, and their numbers in that epoch.
    package func microBatches(step: Int) -> (epoch: Int, range: Range<Int>) {
        let (epoch, inEpoch) = step.quotientAndRemainder(dividingBy: stepsPerEpoch)
        let start = inEpoch * accumulation
        return (epoch, start..<min(start + accumulation, microBatchesPerEpoch))
    }

    /// The `epoch` that is logged after a number of steps: epochs done and the share of micro-batches of the current one.
    package func epoch(afterSteps steps: Int) -> Double {
        let (epoch, inEpoch) = steps.quotientAndRemainder(dividingBy: stepsPerEpoch)
        let done = min(inEpoch * accumulation, microBatchesPerEpoch)
        return Double(epoch) + Double(done) / Double(microBatchesPerEpoch)
    }
}
