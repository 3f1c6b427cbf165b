package import OslerFormats
package import OslerModels

/// What happens in a run, in order: the one stream that consoles, files and trackers consume.
package enum TrainingEvent: Sendable {
    case started(RunDescription)
    /// After every optimizer step.
    case step(StepReport)
    /// An entry of the log, with TRL's metric names.
    case logged(JSON.Object)
    case evaluating(batch: Int, of: Int)
    case saved(path: String, step: Int)
    /// Asked to stop: the step was finished and a checkpoint saved.
    case interrupted(step: Int, checkpoint: String)
    case finished(JSON.Object)
    /// A line that the run printed; none of them quotes a record.
    case printed(String)
    /// The last one, whatever happened: the exit code that the program will have.
    case ended(exitCode: Int32)
}

package struct RunDescription: Sendable, Equatable {
    package var totalSteps: Int
    /// Steps done before this run began, when it resumes.
    package var firstStep: Int
    package var trainRows: Int
    package var evalRows: Int
    package var trainableParameters: Int
}

package struct StepReport: Sendable, Equatable {
    package var step: Int
    package var loss: Double
    /// nil where the step was skipped, because the gradients were not finite in float16.
    package var gradientNorm: Double?
    package var learningRate: Double
    /// In float16: what the loss's gradient was multiplied by in this step.
    package var lossScale: Double? = nil
    package var epoch: Double
    /// Tokens of this step.
    package var tokens: Int
    /// The flops that this step could not do without.
    package var needed: TrainingFlops.Needed
    package var seconds: Double
    /// Seconds that the remaining steps will take at the pace so far.
    package var secondsLeft: Double
    package var residentBytes: Int
}
