internal import OslerFormats
internal import OslerModels
internal import OslerTracking
internal import OslerTraining

/// Shows a run as it goes: a table row an entry of the log, and between them a line with speed, time left, and the loss of all steps as a curve.
final class TrainingDisplay: Reporter {
    private let console: Console
    /// Every step's report, in order.
    private(set) var steps: [StepReport] = []
    private var last: StepReport? { steps.last }
    private var tokens = 0
    private var seconds = 0.0
    private var totalSteps = 0

    private static let columns: [(title: String, width: Int)] = [
        ("step", 11), ("epoch", 7), ("loss", 9), ("grad norm", 10), ("lr", 10), ("tok/s", 8),
        ("memory", 11), ("left", 9),
    ]

    init(_ console: Console) { self.console = console }

    func receive(_ event: TrainingEvent) throws {
        switch event {
        case .started(let run): started(run)
        case .step(let report): stepped(report)
        case .logged(let entry): logged(entry)
        case .evaluating(let batch, let count): console.progress("Evaluating", batch, count)
        case .saved(let path, _): console.write("saved \(path)")
        case .interrupted(let step, let checkpoint):
            console.note("stopped after step \(step); saved \(checkpoint)")
        case .finished, .ended: console.endProgress()
        case .printed: break
        }
    }

    private func started(_ run: RunDescription) {
        totalSteps = run.totalSteps
        if run.firstStep > 0 { console.write("resuming after step \(run.firstStep)") }
        console.write(
            "training on \(run.trainRows.grouped) rows, evaluating on \(run.evalRows.grouped), \(run.totalSteps) steps"
        )
        console.write(Self.columns.map { $0.title.leftPadded($0.width) }.joined())
    }

    private func stepped(_ report: StepReport) {
        steps.append(report)
        tokens += report.tokens
        seconds += report.seconds
        console.progress(
            "step \(report.step)/\(totalSteps)  loss \(report.loss.fixed(4))  \(speed) tok/s  \(report.residentBytes.mebibytes)  \(report.secondsLeft.clock) left",
            curve: steps.map(\.loss))
    }

    private var speed: String { (Double(tokens) / max(seconds, 1e-9)).fixed(1) }

    private func logged(_ entry: JSON.Object) {
        func number(_ key: String) -> Double { entry[key]?.double ?? .nan }
        if let loss = entry["loss"]?.double, let last {
            let cells = [
                "\(last.step)/\(totalSteps)", number("epoch").fixed(2), loss.fixed(4),
                entry["grad_norm"]?.double?.fixed(4) ?? "skipped",
                number("learning_rate").scientific, speed,
                last.residentBytes.mebibytes, last.secondsLeft.clock,
            ]
            console.write(
                zip(cells, Self.columns).map { $0.leftPadded($1.width) }.joined())
            (tokens, seconds) = (0, 0)
        } else if entry["eval_loss"] != nil {
            console.write(
                "  eval: loss \(number("eval_loss").fixed(4))  nll \(number("eval_nll").fixed(4))  perplexity \(number("eval_perplexity").fixed(3))  accuracy \(number("eval_mean_token_accuracy").fixed(4))"
            )
        }
    }
}

extension EvaluationResult {
    var line: String {
        "nll \(negativeLogLikelihood.fixed(4))  perplexity \(perplexity.fixed(3))  loss \(loss.fixed(4))  accuracy \(accuracy.fixed(4))  (\(rows) rows, \(targets.grouped) tokens in the loss)"
    }
}

extension SFTTrainer {
    /// As PEFT prints it.
    var trainableLine: String {
        let trainable = adapter.parameterCount
        let all = model.configuration.parameterCount + trainable
        let share = Double(trainable) / Double(all) * 100
        return
            "trainable params: \(trainable.grouped) || all params: \(all.grouped) || trainable%: \(share.fixed(4))"
    }
}
