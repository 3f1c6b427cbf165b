package import OslerFormats

/// Everything about a run's progress that is not the adapter or the optimizer. Random numbers need no state of their own:
/// they follow from the seed and the step.
package struct TrainerState: Sendable {
    /// Optimizer steps done.
    package var step = 0
    /// Tokens seen, prompts included.
    package var tokens = 0
    /// Sum of all step losses.
    package var lossTotal = 0.0
    package var averages = MetricAverages()
    /// In float16 only.
    package var scaler: LossScaler?
    /// Log entries in order, as in `metrics.jsonl`.
    package var log: [JSON] = []

    package init() {}

    /// Updates of the adapter, which the learning rate and Adam's corrections go by: a step that was
    /// skipped is none, as in transformers.
    var updates: Int { step - (scaler?.skippedSteps ?? 0) }

    /// transformers' `trainer_state.json`.
    func trainerStateJSON(_ trainer: SFTTrainer) -> JSON {
        var object = JSON.Object()
        object["best_global_step"] = .null
        object["best_metric"] = .null
        object["best_model_checkpoint"] = .null
        object["epoch"] = .number(trainer.plan.epoch(afterSteps: step))
        object["eval_steps"] = .integer(trainer.options.evalSteps ?? 500)
        object["global_step"] = .integer(step)
        object["is_hyper_param_search"] = .bool(false)
        object["is_local_process_zero"] = .bool(true)
        object["is_world_process_zero"] = .bool(true)
        object["log_history"] = .array(log)
        object["logging_steps"] = .integer(trainer.options.loggingSteps)
        object["max_steps"] = .integer(trainer.plan.totalSteps)
        object["num_input_tokens_seen"] = .integer(0)
        object["num_train_epochs"] = .integer(trainer.plan.epochs)
        object["save_steps"] = .integer(trainer.options.saveSteps ?? 500)
        object["train_batch_size"] = .integer(trainer.options.batchSize)
        return .object(object)
    }

    /// What transformers' file has no place for.
    func oslerStateJSON(fingerprint: [(String, String)]) -> JSON {
        var object = JSON.Object()
        object["format"] = .integer(1)
        object["step"] = .integer(step)
        object["tokens"] = .integer(tokens)
        object["loss_total"] = .number(lossTotal)
        object["averages"] = averages.json
        if let scaler { object["loss_scaler"] = scaler.json }
        object["fingerprint"] = .object(.init(fingerprint.map { ($0.0, .string($0.1)) }))
        return .object(object)
    }

    /// - Parameter isScaled: whether the run scales its loss.
    /// - Throws: when a field is missing, of the wrong kind, or beyond what a run of `totalSteps` can have.
    init(
        oslerState json: JSON, trainerState: JSON, totalSteps: Int, isScaled: Bool, file: String
    ) throws {
        func damaged(_ key: String) -> InputError {
            InputError(
                "missing or damaged", file: file, field: key,
                remedy: "resume from another checkpoint")
        }
        guard let step = json["step"]?.integer, (0...totalSteps).contains(step) else {
            throw damaged("step")
        }
        guard let tokens = json["tokens"]?.integer, MetricAverages.counts.contains(tokens) else {
            throw damaged("tokens")
        }
        guard let lossTotal = json["loss_total"]?.double, lossTotal.isFinite else {
            throw damaged("loss_total")
        }
        guard let averages = json["averages"].flatMap(MetricAverages.init(json:)) else {
            throw damaged("averages")
        }
        if isScaled {
            scaler = json["loss_scaler"].flatMap { LossScaler(json: $0, steps: step) }
            if scaler == nil { throw damaged("loss_scaler") }
        }
        (self.step, self.tokens, self.lossTotal, self.averages) =
            (step, tokens, lossTotal, averages)
        log = trainerState["log_history"]?.array ?? []
    }
}
