internal import OslerFormats
package import OslerTraining

/// Writes a run as wandb's own offline mode does: `wandb/offline-run-TIME-ID/run-ID.wandb`, which `wandb sync` uploads and
/// nothing else does, with the names of transformers' WandbCallback. Each record is handed to the system at once.
///
/// A resumed run keeps the id and writes a folder of its own, which goes on where the last record of the ones before it
/// stands: what is trained again after a checkpoint gives the same numbers and is not recorded twice.
package final class WandbReporter: Reporter {
    private let run: TrackedRun
    private let settings: WandbSettings
    private let clock: () -> WallClock
    private var log: Log?
    private var pace = PaceSinceEntry()
    private var statistics = SystemStatistics()
    private var lastSample: Double?
    private var summary = JSON.Object()
    /// Printed before the run began.
    private var early: [String] = []
    /// Set once the run has started.
    package private(set) var folder: String?
    private var runID: String?

    /// The folders of all parts of the run, in order.
    package var folders: [String] {
        guard let folder, let runID else {
            return []
        }
        let parent = FileSystem.parent(of: folder)
        return ((try? FileSystem.list(parent)) ?? []).filter {
            $0.hasPrefix("offline-run-") && $0.hasSuffix("-" + runID)
        }.map { FileSystem.join(parent, $0) }
    }

    /// An open run.
    private struct Log {
        let id: String
        let writer: WandbLogWriter
        let console: GrowingFile
        let start: WallClock
        /// Number of the last record.
        var number = 0
        /// Place of the next row of the history.
        var nextRow: Int
        let progress: WandbProgress
    }

    /// Seconds between two samples of the machine.
    private static let samplePeriod = 15.0
    private static let stepMetric = "train/global_step"

    package init(
        _ run: TrackedRun, _ settings: WandbSettings, clock: @escaping () -> WallClock = { .now }
    ) {
        (self.run, self.settings, self.clock) = (run, settings, clock)
    }

    package func receive(_ event: TrainingEvent) throws {
        switch event {
        case .started(let description): try start(description)
        case .step(let report):
            pace.add(report)
            try sample()
        case .logged(let entry): try history(entry)
        case .printed(let line): try printed(line)
        case .finished(let summary): try finish(summary)
        case .ended(let exitCode): try end(exitCode)
        case .evaluating, .saved, .interrupted: break
        }
    }

    // MARK: Beginning and end

    private func start(_ description: RunDescription) throws {
        let key = "wandb_run_id"
        var record = try TrackingRecord(outputDirectory: run.outputDirectory)
        let former = description.firstStep > 0 ? record[key] : nil
        let id = settings.runID ?? former ?? WandbSettings.randomID()
        try WandbSettings.check(id)
        let parent = FileSystem.join(settings.directory ?? run.outputDirectory, "wandb")
        let progress =
            description.firstStep > 0 ? try WandbProgress(runID: id, in: parent) : WandbProgress()
        let (start, folder) = try Self.makeFolder(in: parent, id, clock)
        try record.set(key, id)
        (self.folder, runID) = (folder, id)
        var configuration = run.configuration
        for (name, value) in [
            ("osler_version", JSON.string(run.version)),
            ("total_steps", .integer(description.totalSteps)),
            ("train_rows", .integer(description.trainRows)),
            ("eval_rows", .integer(description.evalRows)),
            ("trainable_parameters", .integer(description.trainableParameters)),
        ] { configuration[name] = value }
        log = Log(
            id: id, writer: try WandbLogWriter(FileSystem.join(folder, "run-\(id).wandb")),
            console: try GrowingFile(FileSystem.join(folder, "files/output.log")), start: start,
            nextRow: progress.rows, progress: progress)
        try AtomicFile.write(
            WandbRecord.configurationFile(configuration),
            to: FileSystem.join(folder, "files/config.yaml"))
        try append(.header, WandbRecord.header(version: "osler-" + run.version))
        try append(
            .run,
            WandbRecord.run(
                id: id, settings: settings, name: run.name ?? settings.name,
                configuration: configuration, start: start,
                resumes: former == id || progress.rows > 0,
                startingStep: progress.rows))
        try append(.environment, WandbRecord.environment(run, start: start))
        try append(.metric, WandbRecord.stepMetric(Self.stepMetric))
        try append(.metric, WandbRecord.metrics("*", over: Self.stepMetric))
        try sample()
        for line in early { try printed(line) }
        early = []
    }

    /// `offline-run-TIME-ID`; a run that begins in the same second waits for a name of its own.
    private static func makeFolder(
        in parent: String, _ id: String, _ clock: () -> WallClock
    ) throws -> (WallClock, String) {
        let now = clock()
        for seconds in now.seconds... {
            let time = WallClock(
                seconds: seconds, nanoseconds: seconds == now.seconds ? now.nanoseconds : 0)
            let name = "offline-run-\(time.local("%Y%m%d_%H%M%S"))-\(id)"
            let folder = FileSystem.join(parent, name)
            if FileSystem.exists(folder) { continue }
            try FileSystem.createDirectories(FileSystem.join(folder, "files"))
            return (now, folder)
        }
        preconditionFailure("no end of seconds")
    }

    /// What transformers puts into the summary alone, and its last row.
    private func finish(_ values: JSON.Object) throws {
        let single = values.pairs.filter { $0.key.hasPrefix("train_") }
            .map { (name: $0.key, value: $0.value) }
        try summarize(single)
        var row = JSON.Object()
        for key in ["epoch", "step"] { row[key] = values[key] }
        try history(row)
    }

    private func end(_ exitCode: Int32) throws {
        guard let log, let folder else { return }
        try sample(always: true)
        try append(.exit, WandbRecord.exit(code: Int(exitCode), runtime: runtime))
        log.writer.flush()
        log.console.flush()
        try AtomicFile.write(
            JSON.object(summary).serialized(ensureASCII: false) + "\n",
            to: FileSystem.join(folder, "files/wandb-summary.json"))
        self.log = nil
    }

    // MARK: Records

    private var runtime: Double { log.map { clock().fraction - $0.start.fraction } ?? 0 }

    private func append(
        _ kind: WandbRecord.Kind, _ body: (inout ProtobufWriter) -> Void
    ) throws {
        guard let log else { return }
        self.log?.number += 1
        try log.writer.append(
            WandbRecord.record(log.number + 1, kind, stream: log.id, body))
    }

    private func history(_ entry: JSON.Object) throws {
        let pace = pace.take()
        guard let log, let step = entry["step"]?.integer, !log.progress.holds(entry, step: step)
        else { return }
        let time = clock()
        let row =
            trackedMetrics(entry) + pace + [
                (Self.stepMetric, .integer(step)), ("_timestamp", .number(time.fraction)),
                ("_runtime", .number(runtime)), ("_step", .integer(log.nextRow)),
            ]
        try summarize(row)
        try append(.history, WandbRecord.history(row, step: log.nextRow))
        self.log?.nextRow += 1
    }

    private func summarize(_ values: [(name: String, value: JSON)]) throws {
        for (name, value) in values { summary[name] = value }
        try append(.summary, WandbRecord.summary(values, runtime: runtime))
    }

    private func printed(_ line: String) throws {
        guard let log else { return early.append(line) }
        try append(.outputRaw, WandbRecord.output(line, time: clock()))
        try log.console.append(Array((line + "\n").utf8))
    }

    private func sample(always: Bool = false) throws {
        let time = clock()
        if let lastSample, !always, time.fraction - lastSample < Self.samplePeriod { return }
        lastSample = time.fraction
        try append(.stats, WandbRecord.statistics(statistics.sample(), time: time))
    }
}
