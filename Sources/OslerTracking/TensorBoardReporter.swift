package import OslerTraining
internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Writes TensorBoard event files, with the names of transformers' TensorBoardCallback. A resumed run adds a file to the
/// folder of the run that it continues; readers forget what older files say beyond the checkpoint.
package final class TensorBoardReporter: Reporter {
    private let run: TrackedRun
    private let clock: () -> WallClock
    private var file: TensorBoardFile?
    private var pace = PaceSinceEntry()
    /// Set once the run has started.
    package private(set) var folder: String?

    package init(_ run: TrackedRun, clock: @escaping () -> WallClock = { .now }) {
        (self.run, self.clock) = (run, clock)
    }

    package func receive(_ event: TrainingEvent) throws {
        switch event {
        case .started(let description): try start(description)
        case .step(let report): pace.add(report)
        case .logged(let entry): try log(entry, pace.take())
        case .finished(let summary): try log(summary, [])
        case .ended: file?.flush()
        case .evaluating, .saved, .interrupted, .printed: break
        }
    }

    private func start(_ description: RunDescription) throws {
        let now = clock()
        let key = "tensorboard_folder"
        var record = try TrackingRecord(outputDirectory: run.outputDirectory)
        let former = description.firstStep > 0 ? record[key] : nil
        let folder =
            run.loggingDirectory ?? former
            ?? FileSystem.join(
                run.outputDirectory, "runs/" + now.local("%b%d_%H-%M-%S_") + hostName)
        try FileSystem.createDirectories(folder)
        try record.set(key, folder)
        self.folder = folder
        let file = try TensorBoardFile(
            try Self.freePath(in: folder, now.seconds), time: now.fraction)
        self.file = file
        if description.firstStep > 0 {
            try file.restart(at: description.firstStep + 1, time: now.fraction)
        } else {
            let json = JSON.object(run.configuration).serialized(indent: 2, ensureASCII: false)
            let indented = json.split(separator: "\n", omittingEmptySubsequences: false)
                .map { "    " + $0 }.joined(separator: "\n")
            try file.text("args", indented, time: now.fraction)
        }
    }

    /// Names sort by time: readers take the files in that order.
    private static func freePath(in folder: String, _ seconds: Int) throws -> String {
        for number in 0... {
            let name = "events.out.tfevents.\(seconds).\(hostName).\(getpid()).\(number)"
            let path = FileSystem.join(folder, name)
            if !FileSystem.exists(path) { return path }
        }
        preconditionFailure("no end of names")
    }

    private func log(
        _ entry: JSON.Object, _ pace: [(name: String, value: JSON)]
    ) throws {
        guard let step = entry["step"]?.integer else { return }
        let scalars = (trackedMetrics(entry) + pace).compactMap { metric in
            metric.value.double.map { (tag: metric.name, value: $0) }
        }
        try file?.scalars(scalars, step: step, time: clock().fraction)
    }
}
