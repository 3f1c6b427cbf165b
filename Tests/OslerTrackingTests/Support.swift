import OslerFormats
import OslerModels
import OslerTestSupport

@testable import OslerTracking
@testable import OslerTraining

/// A folder of its own, removed at the end.
final class TemporaryFolder {
    let path = Fixtures.temporaryFolder()
    init() throws { try FileSystem.createDirectories(path) }
    deinit { try? FileSystem.remove(path) }
}

/// A run of `steps` steps as the trainer tells it, with an evaluation every second step.
struct ToldRun {
    var firstStep = 0
    var steps = 4
    var totalSteps = 4
    var exitCode: Int32? = 0

    static func entry(_ step: Int) -> JSON.Object {
        [
            "loss": .number(3 / Double(step)), "grad_norm": 0.5, "learning_rate": 1e-4,
            "num_tokens": .integer(100 * step), "epoch": .number(Double(step) / 4),
            "step": .integer(step),
        ]
    }

    static func evaluation(_ step: Int) -> JSON.Object {
        [
            "eval_loss": .number(4 / Double(step)), "eval_nll": .number(4 / Double(step)),
            "epoch": .number(Double(step) / 4), "step": .integer(step),
        ]
    }

    func tell(_ reporter: any Reporter) throws {
        try reporter.receive(
            .started(
                RunDescription(
                    totalSteps: totalSteps, firstStep: firstStep, trainRows: 8, evalRows: 2,
                    trainableParameters: 640)))
        for step in firstStep + 1...firstStep + steps {
            try reporter.receive(
                .step(
                    StepReport(
                        step: step, loss: 3 / Double(step), gradientNorm: 0.5, learningRate: 1e-4,
                        epoch: Double(step) / 4, tokens: 100, needed: TrainingFlops.Needed(),
                        seconds: 0.5, secondsLeft: 1, residentBytes: 3 << 20)))
            try reporter.receive(.logged(Self.entry(step)))
            if step % 2 == 0 { try reporter.receive(.logged(Self.evaluation(step))) }
        }
        guard let exitCode else { return }
        if exitCode == 0 {
            try reporter.receive(
                .finished([
                    "train_runtime": 2.5, "train_loss": 1.5, "epoch": 1,
                    "step": .integer(firstStep + steps),
                ]))
        }
        try reporter.receive(.ended(exitCode: exitCode))
    }

    static func description(_ folder: String) -> TrackedRun {
        TrackedRun(
            name: "a run", outputDirectory: folder, loggingDirectory: nil,
            configuration: ["learning_rate": 1e-4, "note": .null, "list": [1, "é"]],
            program: "osler", version: "9", arguments: ["train", "run.yaml"])
    }
}
