package import OslerFormats
package import OslerTraining

/// Something that is told what happens in a run. Any number of them hear the same events in the same order.
package protocol Reporter: AnyObject {
    func receive(_ event: TrainingEvent) throws
}

/// What reporters are told about a run beside its events.
package struct TrackedRun: Sendable {
    package var name: String?
    package var outputDirectory: String
    /// For TensorBoard.
    package var loggingDirectory: String?
    /// The recipe's keys, and whatever else describes the run.
    package var configuration: JSON.Object
    package var program: String
    package var version: String
    package var arguments: [String]

    package init(
        name: String?, outputDirectory: String, loggingDirectory: String?,
        configuration: JSON.Object, program: String, version: String, arguments: [String]
    ) {
        (self.name, self.outputDirectory, self.loggingDirectory) =
            (name, outputDirectory, loggingDirectory)
        (self.configuration, self.program) = (configuration, program)
        (self.version, self.arguments) = (version, arguments)
    }
}

/// How trackers name metrics: `loss` is `train/loss`, `eval_loss` is `eval/loss`, as transformers' callbacks have it.
func trackedMetrics(_ entry: JSON.Object) -> [(name: String, value: JSON)] {
    entry.pairs.filter { $0.key != "step" }.map { key, value in
        let evaluation = "eval_"
        guard key.hasPrefix(evaluation) else { return ("train/" + key, value) }
        return ("eval/" + key.dropFirst(evaluation.count), value)
    }
}

/// Pace and memory since the last entry of the log, which is told with it.
struct PaceSinceEntry {
    private var tokens = 0
    private var seconds = 0.0
    private var residentBytes = 0

    mutating func add(_ step: StepReport) {
        tokens += step.tokens
        seconds += step.seconds
        residentBytes = step.residentBytes
    }

    /// Nothing where no step was made since.
    mutating func take() -> [(name: String, value: JSON)] {
        guard seconds > 0 else { return [] }
        defer { (tokens, seconds) = (0, 0) }
        return [
            ("perf/tokens_per_second", .number(Double(tokens) / seconds)),
            ("perf/resident_mib", .number(Double(residentBytes) / 1_048_576)),
        ]
    }
}
