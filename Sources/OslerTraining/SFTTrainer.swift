package import OslerCompute
package import OslerData
package import OslerFormats
package import OslerModels

/// Supervised fine-tuning of an adapter: the loop of TRL's SFTTrainer over transformers' Trainer.
///
/// A step is a pure function of the state (adapter, optimizer, step number) and the rows: the order of rows and the
/// dropout masks follow from the seed and the step number alone. So a run that continues from a checkpoint goes on bit
/// for bit.
package final class SFTTrainer {
    /// A row of a batch: one sequence, or the sequences of one pack.
    package typealias Row = [Example]

    package let model: CausalLM
    let options: TrainingOptions
    let plan: StepPlan
    let schedule: LearningRateSchedule
    let optimizer: AdapterOptimizer
    let trainRows: [Row]
    let evalRows: [Row]
    let arena: Arena
    let output: RunFolder?
    let report: (TrainingEvent) throws -> Void
    var state = TrainerState()
    private let flops: TrainingFlops
    private var order: (epoch: Int, rows: [Int])?
    /// Of the rows to train on.
    private(set) lazy var dataHash = StableHash(trainRows)

    /// - Parameters:
    ///   - model: with its adapter attached.
    ///   - lossScaler: to begin with, in float16.
    ///   - output: where checkpoints go; nil: nowhere.
    ///   - report: receives what happens.
    package init(
        model: CausalLM, trainRows: [Row], evalRows: [Row], options: TrainingOptions, arena: Arena,
        lossScaler: LossScaler = LossScaler(), output: RunFolder?,
        report: @escaping (TrainingEvent) throws -> Void
    ) throws {
        guard let adapter = model.adapter else { preconditionFailure("no adapter to train") }
        (self.model, self.options, self.arena, self.output, self.report) =
            (model, options, arena, output, report)
        (self.trainRows, self.evalRows) = (trainRows, evalRows)
        flops = TrainingFlops(model)
        plan = try StepPlan(
            examples: trainRows.count, batchSize: options.batchSize,
            accumulation: options.accumulation, epochs: options.epochs, maxSteps: options.maxSteps)
        schedule = LearningRateSchedule(
            kind: options.schedule, peak: options.learningRate,
            warmupSteps: LearningRateSchedule.warmupSteps(
                options.warmup, totalSteps: plan.totalSteps),
            totalSteps: plan.totalSteps, cycles: options.cosineCycles,
            minimumShare: options.minimumRateShare)
        optimizer = try AdapterOptimizer(
            options.optimizer, adapter: adapter, hyperparameters: options.hyperparameters,
            backend: model.backend)
        if model.backend.precision == .float16 { state.scaler = lossScaler }
    }

    package var adapter: Adapter {
        guard let adapter = model.adapter else { preconditionFailure("no adapter to train") }
        return adapter
    }

    /// Trains to the last step, or until `shouldStop` says so after a step.
    ///
    /// - Returns: the summary: `train_runtime`, `train_loss`, ... as the Trainer gives it; nil when stopped early.
    package func train(shouldStop: () -> Bool = { false }) throws -> JSON.Object? {
        let firstStep = state.step
        arena.touch()
        let start = monotonicSeconds()
        try report(
            .started(
                RunDescription(
                    totalSteps: plan.totalSteps, firstStep: firstStep, trainRows: trainRows.count,
                    evalRows: evalRows.count, trainableParameters: adapter.parameterCount)))
        var meter = PaceMeter(start: start, firstStep: firstStep, totalSteps: plan.totalSteps)
        while state.step < plan.totalSteps {
            let result = try step()
            try report(.step(meter.report(result, state: state, plan: plan)))
            let last = state.step == plan.totalSteps
            if state.step % options.loggingSteps == 0 || last { try log(result) }
            if let every = options.evalSteps, state.step % every == 0 || last, !evalRows.isEmpty {
                try evaluateAndLog()
            }
            let stopping = !last && shouldStop()
            if let every = options.saveSteps, state.step % every == 0 || last {
                try save()
            } else if stopping {
                try save()
            }
            if stopping {
                try report(
                    .interrupted(
                        step: state.step, checkpoint: output?.checkpointPath(state.step) ?? ""))
                return nil
            }
        }
        try model.backend.synchronize()
        let summary = self.summary(seconds: monotonicSeconds() - start, firstStep: firstStep)
        try report(.finished(summary))
        return summary
    }

    // MARK: One step

    struct StepResult {
        var loss: Double
        /// nil where the step was skipped.
        var gradientNorm: Double?
        var learningRate: Double
        /// In float16: what the loss's gradient was multiplied by.
        var lossScale: Double?
        var tokens: Int
        var needed: TrainingFlops.Needed
    }

    /// One optimizer step: all micro-batches of the accumulation, clipping, update. In float16 a step
    /// whose gradients are not finite leaves the adapter as it is, and counts.
    func step() throws -> StepResult {
        let batches = microBatches(step: state.step)
        let targets = batches.reduce(0) { $0 + $1.targetCount }
        guard targets > 0 else {
            throw InputError(
                "none of the tokens of step \(state.step + 1) is in the loss",
                field: "rows \(batches.flatMap(\.rows))",
                remedy: "look at the loss mask with osler preflight")
        }
        for gradients in adapter.gradients { model.backend.zero(gradients) }
        let loss = try accumulate(batches, stepTargets: targets)
        if state.step == 0 { try checkFirstGradients() }
        let norm = try gradientNorm(of: batches)
        let rate = schedule.rate(step: state.updates)
        if let norm {
            let clip = options.maxGradientNorm > 0 ? options.maxGradientNorm / (norm + 1e-6) : 1
            // The update is not waited for: the next step is queued behind it.
            optimizer.step(
                learningRate: rate, step: state.updates + 1,
                gradientScale: Float(min(1, clip)) / lossScale)
        }
        let scale = state.scaler?.scale
        state.scaler?.update(gradientsAreFinite: norm != nil)
        try checkScale()
        let tokens = batches.reduce(0) { $0 + $1.ids.count }
        state.step += 1
        state.tokens += tokens
        state.averages.lossSum += loss
        state.averages.steps += 1
        state.lossTotal += loss
        return StepResult(
            loss: loss, gradientNorm: norm, learningRate: rate, lossScale: scale.map(Double.init),
            tokens: tokens, needed: needed(batches))
    }

    /// Forward and backward of all micro-batches. Returns the step's loss.
    private func accumulate(_ batches: [MicroBatch], stepTargets: Int) throws -> Double {
        let results = try model.accumulateGradients(
            batches.map { TokenBatch($0) }, loss: options.loss,
            scale: lossScale / Float(stepTargets), checkpointing: options.checkpointing,
            dropout: dropout, arena: arena)
        let losses = results.map { $0.lossSum(options.loss) / Double(stepTargets) }
        if let bad = losses.firstIndex(where: { !$0.isFinite }) {
            throw InputError(
                "the loss of step \(state.step + 1) is not finite",
                field: "rows \(batches[bad].rows)",
                remedy: "nothing was updated; lower learning_rate, or look at these rows with "
                    + "osler preflight"
                    + (state.scaler == nil ? "" : "; float16 ends at 65504: " + Self.widerTypes))
        }
        for rows in results where rows.count > 0 {
            state.averages.entropySum += rows.entropySum / Double(rows.count)
            state.averages.accuracySum += rows.topSum / Double(rows.count)
            state.averages.microBatches += 1
        }
        return losses.reduce(0, +)
    }

    /// What the step can't do without: micro-batches that have no label are not run.
    private func needed(_ batches: [MicroBatch]) -> TrainingFlops.Needed {
        batches.filter { $0.targetCount > 0 }.map { flops.needed(TokenBatch($0)) }
            .reduce(TrainingFlops.Needed(), +)
    }

    private func dropout(microBatch index: Int) -> DropoutSource? {
        guard adapter.configuration.dropout > 0 else { return nil }
        return DropoutSource(
            seed: options.seed, microBatch: UInt64(state.step * options.accumulation + index))
    }

    private var lossScale: Float { state.scaler?.scale ?? 1 }
    private static let widerTypes = "use bf16: true where the card has it, or dtype: float32"

    /// The norm of all gradients together, before clipping; nil where they are not finite and the
    /// loss was scaled.
    private func gradientNorm(of batches: [MicroBatch]) throws -> Double? {
        let squares = try adapter.gradients.reduce(0) { try $0 + model.backend.sumOfSquares($1) }
        let norm = squares.squareRoot() / Double(lossScale)
        guard norm.isFinite else {
            if state.scaler != nil { return nil }
            throw InputError(
                "the gradient of step \(state.step + 1) is not finite",
                field: "rows \(batches.flatMap(\.rows))",
                remedy: "nothing was updated; lower learning_rate, or look at these rows")
        }
        return norm
    }

    /// Gradients that overflow without being scaled up won't come back into float16.
    private func checkScale() throws {
        guard let scaler = state.scaler, scaler.scale < 1 else { return }
        throw InputError(
            "the gradients of \(scaler.skippedInARow) steps in a row are not finite in float16",
            field: "step \(state.step + 1)",
            remedy: "the loss scale was halved for each and is below 1: lower learning_rate, or "
                + Self.widerTypes)
    }

    /// An adapter whose B has no gradient in the first step would never be trained: something cuts it off.
    private func checkFirstGradients() throws {
        let still = try adapter.modules.filter {
            try model.backend.sumOfSquares($0.pair.gradientB) == 0
        }
        guard still.isEmpty else {
            throw InputError(
                "no gradient reaches lora_B of \(still.map(\.name).joined(separator: ", "))",
                field: "target_modules",
                remedy: "leave these modules out, or start from an adapter whose lora_A is not zero"
            )
        }
    }

    // MARK: Rows

    /// The micro-batches of step `step`, counted from 0.
    func microBatches(step: Int) -> [MicroBatch] {
        let (epoch, range) = plan.microBatches(step: step)
        let rows = rowOrder(epoch: epoch)
        return range.map { number in
            let start = number * options.batchSize
            let slice = rows[start..<min(start + options.batchSize, rows.count)]
            return MicroBatch(slice.flatMap { trainRows[$0] })
        }
    }

    private func rowOrder(epoch: Int) -> [Int] {
        if let order, order.epoch == epoch { return order.rows }
        let rows = epochOrder(
            count: trainRows.count, epoch: epoch, seed: options.dataSeed ?? options.seed,
            strategy: options.sampling)
        order = (epoch, rows)
        return rows
    }

    // MARK: Log

    private func log(_ result: StepResult) throws {
        var entry = state.averages.entry
        if let norm = result.gradientNorm { entry["grad_norm"] = .number(norm) }
        entry["learning_rate"] = .number(result.learningRate)
        if let scale = result.lossScale { entry["loss_scale"] = .number(scale) }
        if let scaler = state.scaler { entry["skipped_steps"] = .integer(scaler.skippedSteps) }
        entry["num_tokens"] = .integer(state.tokens)
        state.averages = MetricAverages()
        try append(entry)
    }

    func append(_ metrics: JSON.Object) throws {
        var entry = metrics
        entry["epoch"] = .number(plan.epoch(afterSteps: state.step))
        entry["step"] = .integer(state.step)
        state.log.append(.object(entry))
        try output?.writeMetrics(state.log)
        try report(.logged(entry))
    }

    private func summary(seconds: Double, firstStep: Int) -> JSON.Object {
        let steps = state.step - firstStep
        let samples = Double(steps) * Double(options.batchSize) * Double(options.accumulation)
        var object = JSON.Object()
        object["train_runtime"] = .number(seconds)
        object["train_samples_per_second"] = .number(samples / seconds)
        object["train_steps_per_second"] = .number(Double(steps) / seconds)
        object["train_loss"] = .number(state.lossTotal / Double(max(1, state.step)))
        object["epoch"] = .number(plan.epoch(afterSteps: state.step))
        object["step"] = .integer(state.step)
        return object
    }
}

/// Turns step results into reports with speed and time left.
private struct PaceMeter {
    let start: Double
    let firstStep: Int
    let totalSteps: Int
    var previous: Double

    init(start: Double, firstStep: Int, totalSteps: Int) {
        (self.start, self.firstStep, self.totalSteps, previous) =
            (start, firstStep, totalSteps, start)
    }

    mutating func report(
        _ result: SFTTrainer.StepResult, state: TrainerState, plan: StepPlan
    ) -> StepReport {
        let now = monotonicSeconds()
        defer { previous = now }
        let done = Double(state.step - firstStep)
        return StepReport(
            step: state.step, loss: result.loss, gradientNorm: result.gradientNorm,
            learningRate: result.learningRate, lossScale: result.lossScale,
            epoch: plan.epoch(afterSteps: state.step),
            tokens: result.tokens, needed: result.needed, seconds: now - previous,
            secondsLeft: (now - start) / done * Double(totalSteps - state.step),
            residentBytes: ProcessStatus.residentBytes)
    }
}

extension TokenBatch {
    package init(_ batch: MicroBatch) {
        self.init(
            ids: batch.ids, positions: batch.positions, targets: batch.targets,
            lengths: batch.sequenceLengths)
    }
}

extension SFTTrainer {
    /// The entries logged so far.
    package var logEntries: [JSON] { state.log }
    /// The backend that holds the adapter.
    package var adapterBackend: any Backend { model.backend }
    package var hasEvalRows: Bool { !evalRows.isEmpty }
    /// Steps done.
    package var stepsDone: Int { state.step }
}
