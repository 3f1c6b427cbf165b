internal import OslerModels
internal import OslerCompute
internal import OslerData
internal import OslerFormats

extension SFTConfiguration {
    mutating func readTraining(_ reader: inout ConfigurationReader) throws {
        var t = TrainingOptions()
        t.batchSize =
            try reader.integer("per_device_train_batch_size", "batch_size") ?? t.batchSize
        // The same token budget as in training, unless told otherwise.
        t.evalBatchSize = try reader.integer("per_device_eval_batch_size") ?? t.batchSize
        t.accumulation = try reader.integer("gradient_accumulation_steps") ?? t.accumulation
        t.epochs =
            try reader.number("num_train_epochs", "epochs_to_train", below: 1e6) ?? t.epochs
        t.maxSteps = try reader.integer("max_steps", minimum: -1) ?? t.maxSteps
        guard t.epochs > 0 || t.maxSteps > 0 else {
            throw reader.error("num_train_epochs", "0 epochs train nothing")
        }
        t.optimizer = try optimizer(&reader) ?? t.optimizer
        let h = t.hyperparameters
        t.hyperparameters.beta1 = try reader.number("adam_beta1", below: 1) ?? h.beta1
        t.hyperparameters.beta2 = try reader.number("adam_beta2", below: 1) ?? h.beta2
        t.hyperparameters.epsilon = try reader.positive("adam_epsilon", below: 1) ?? h.epsilon
        t.hyperparameters.weightDecay =
            try reader.number("weight_decay") ?? h.weightDecay
        t.maxGradientNorm = try reader.number("max_grad_norm") ?? t.maxGradientNorm
        if let name = try reader.string("loss_type") {
            guard let loss = LossKind(rawValue: name == "chunked_nll" ? "nll" : name) else {
                throw reader.error("loss_type", "\"\(name)\" is not one of nll, dft")
            }
            t.loss = loss
        }
        try readMemory(&reader)
        t.seed = UInt64(try reader.integer("seed", minimum: 0) ?? 42)
        t.dataSeed = try reader.integer("data_seed", minimum: 0).map { UInt64($0) }
        t.sampling =
            try reader.choice("train_sampling_strategy", as: SamplingStrategy.self) ?? .random
        t.loggingSteps = try reader.integer("logging_steps") ?? t.loggingSteps
        t.saveTotalLimit = try reader.integer("save_total_limit")
        evaluatesOnStart = try reader.bool("eval_on_start") ?? false
        data.seed = t.seed
        training = t
        evaluation =
            try interval(&reader, "eval_strategy", "eval_steps", otherwise: .never) ?? .never
        saving =
            try interval(&reader, "save_strategy", "save_steps", otherwise: .steps(500))
            ?? .steps(500)
    }

    private func optimizer(_ reader: inout ConfigurationReader) throws -> OptimizerKind? {
        guard let name = try reader.string("optim") else { return nil }
        guard let found = OptimizerKind.names.first(where: { $0.name == name }) else {
            let known = OptimizerKind.names.map(\.name).joined(separator: ", ")
            throw reader.error("optim", "\"\(name)\" is not available", remedy: "use \(known)")
        }
        return found.kind
    }

    private func interval(
        _ reader: inout ConfigurationReader, _ strategyKey: String, _ stepsKey: String,
        otherwise: Interval
    ) throws -> Interval? {
        let steps = try reader.integer(stepsKey)
        switch try reader.value(strategyKey) {
        case nil: return steps.map { .steps($0) } ?? otherwise
        // YAML reads a bare `no` as false.
        case .string("no")?, .bool(false)?: return .never
        case .string("epoch")?: return .epoch
        case .string("steps")?:
            return .steps(steps ?? (stepsKey == "eval_steps" ? training.loggingSteps : 500))
        case let other?:
            throw reader.error(
                strategyKey,
                "\(other.serialized(ensureASCII: false)) is not one of no, steps, epoch")
        }
    }

    mutating func readSchedule(_ reader: inout ConfigurationReader) throws {
        training.learningRate = try reader.number("learning_rate") ?? training.learningRate
        training.schedule =
            try reader.choice("lr_scheduler_type", as: LearningRateSchedule.Kind.self) ?? .linear
        let ratio = try reader.number("warmup_ratio", below: 1)
        training.warmup = try reader.number("warmup_steps", below: 1e9) ?? ratio ?? 0
        let peak = training.learningRate
        let shape = try reader.section("lr_scheduler_kwargs") { part in
            let cycles = try part.number("num_cycles", below: 1e6)
            let share = try part.number("min_lr_rate")
            let rate = try part.number("min_lr")
            if let rate, rate > peak { throw part.error("min_lr", "above learning_rate") }
            if let share, share > 1 { throw part.error("min_lr_rate", "above 1") }
            return (cycles, rate.flatMap { peak > 0 ? $0 / peak : nil } ?? share)
        }
        training.cosineCycles = shape?.0 ?? training.cosineCycles
        training.minimumRateShare = shape?.1 ?? training.minimumRateShare
    }
}
