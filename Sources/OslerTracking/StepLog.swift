package import OslerTraining
internal import OslerFormats

/// `steps.jsonl` in the output folder: one line a step, with pace and memory, beside the log's `metrics.jsonl`. `osler
/// report` draws from it. A resumed run replaces what came after its checkpoint.
package final class StepLog: Reporter {
    package static let fileName = "steps.jsonl"
    private let path: String
    private var file: GrowingFile?

    package init(outputDirectory: String) {
        path = FileSystem.join(outputDirectory, Self.fileName)
    }

    package func receive(_ event: TrainingEvent) throws {
        switch event {
        case .started(let run): try start(run)
        case .step(let report): try file?.append(Array((Self.line(report) + "\n").utf8))
        case .ended: file?.flush()
        case .logged, .evaluating, .saved, .interrupted, .finished, .printed: break
        }
    }

    private func start(_ run: RunDescription) throws {
        var kept = ""
        if run.firstStep > 0, FileSystem.exists(path) {
            for line in try FileSystem.readText(path).split(separator: "\n") {
                // A killed run may have left half a line.
                guard let step = try? JSON.parse(String(line))["step"]?.integer else { break }
                if step > run.firstStep { break }
                kept += line + "\n"
            }
        }
        try AtomicFile.write(kept, to: path)
        file = try GrowingFile(path, keepsContent: true)
    }

    private static func line(_ step: StepReport) -> String {
        var line: JSON.Object = [
            "step": .integer(step.step), "loss": .number(step.loss),
            "grad_norm": step.gradientNorm.map(JSON.number) ?? .null,
            "learning_rate": .number(step.learningRate),
            "epoch": .number(step.epoch), "tokens": .integer(step.tokens),
            "seconds": .number(step.seconds), "resident_bytes": .integer(step.residentBytes),
        ]
        if let scale = step.lossScale { line["loss_scale"] = .number(scale) }
        return JSON.object(line).serialized()
    }
}
