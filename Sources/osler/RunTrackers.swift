internal import ArgumentParser
internal import OslerFormats
internal import OslerTracking
internal import OslerTraining
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Everybody who is told about a run: the console first, then the trackers that the recipe asks for.
final class RunTrackers {
    private let console: Console
    private let display: TrainingDisplay
    private let recorder: RunRecorder
    private var others: [any Reporter] = []
    private var wandb: WandbReporter?
    private var tensorBoard: TensorBoardReporter?
    private var isOnline = false
    /// Printed, and not yet told.
    private var lines: [String] = []

    init(
        _ configuration: SFTConfiguration, _ recipe: JSON.Object, _ display: TrainingDisplay,
        _ recorder: RunRecorder, _ console: Console
    ) throws {
        (self.display, self.recorder, self.console) = (display, recorder, console)
        let run = TrackedRun(
            name: configuration.runName, outputDirectory: configuration.outputDirectory,
            loggingDirectory: configuration.loggingDirectory, configuration: recipe,
            program: "osler", version: Osler.configuration.version,
            arguments: Array(CommandLine.arguments.dropFirst()))
        others = [recorder, StepLog(outputDirectory: configuration.outputDirectory)]
        if configuration.trackers.contains(.tensorboard) {
            tensorBoard = TensorBoardReporter(run)
        }
        if configuration.trackers.contains(.wandb) {
            let settings = try WandbSettings { getenv($0).map { String(cString: $0) } }
            if settings.mode == .disabled {
                console.note("wandb is switched off by WANDB_DISABLED or WANDB_MODE")
            } else {
                wandb = WandbReporter(run, settings)
                isOnline = settings.mode == .online
            }
        }
        others += ([tensorBoard, wandb] as [(any Reporter)?]).compactMap { $0 }
        console.listener = { [weak self] in self?.lines.append($0) }
    }

    func receive(_ event: TrainingEvent) throws {
        try display.receive(event)
        try tellLines()
        for tracker in others { try tracker.receive(event) }
    }

    private func tellLines() throws {
        let lines = lines
        self.lines = []
        for line in lines { for tracker in others { try tracker.receive(.printed(line)) } }
    }

    /// Runs `body` and tells everybody how it ended.
    func following(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            if !(error is ExitCode) {
                recorder.failed(error)
                lines.append("error: \(error)")
            }
            // What went wrong first is what the user must see.
            try? receive(.ended(exitCode: (error as? ExitCode)?.rawValue ?? 1))
            sayPlaces(willUpload: false)
            throw error
        }
        try receive(.ended(exitCode: 0))
        sayPlaces(willUpload: isOnline)
    }

    private func sayPlaces(willUpload: Bool) {
        if let folder = tensorBoard?.folder {
            console.write("tensorboard: tensorboard --logdir \(folder)")
        }
        if let folder = wandb?.folder, !willUpload {
            console.write("wandb: nothing was uploaded; wandb sync \(folder) does it")
        }
    }

    /// With `WANDB_MODE=online`, gives the run to wandb's own client, which uploads it.
    func handOver() {
        guard isOnline, let folders = wandb?.folders, !folders.isEmpty else { return }
        console.endProgress()
        let command = ["wandb", "sync"] + folders
        switch Subprocess.run(command) {
        case 0: break
        case nil:
            console.note(
                "wandb is not installed, so nothing was uploaded; where it is: "
                    + command.joined(separator: " "))
        case let code?:
            console.note(
                "wandb ended with code \(code); again: " + command.joined(separator: " "))
        }
    }
}

/// Another program, by name, on the same terminal.
enum Subprocess {
    /// Its exit code, 128 and more for a signal; nil when there is no such program.
    static func run(_ command: [String]) -> Int32? {
        let copies = command.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        var (process, status): (pid_t, Int32) = (0, 0)
        guard posix_spawnp(&process, command[0], nil, nil, copies + [nil], environ) == 0 else {
            return nil
        }
        while waitpid(process, &status, 0) < 0 { if errno != EINTR { return nil } }
        let signal = status & 0x7F
        return signal == 0 ? status >> 8 & 0xFF : 128 + signal
    }
}
