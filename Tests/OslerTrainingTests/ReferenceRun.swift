import OslerCompute
import OslerData
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// A run of the real SFTTrainer, from `Tests/Fixtures/train`.
struct ReferenceRun {
    let name: String
    let json: JSON

    static let float32 = [
        "nll-linear-messages", "dft-linear-messages", "nll-cosine-warmup-pc", "dft-cosine-pc",
        "nll-assistant-only", "nll-strong-qkvo-clip", "nll-shuffle-tail", "nll-data-seed",
        "nll-truncate-drop", "nll-text", "nll-text-pc", "nll-packing-bfd",
        "dft-flattening-collator", "nll-rslora-alllinear", "nll-adamw8bit",
    ]

    init(_ name: String) throws {
        self.name = name
        json = try JSON.parse(file: Fixtures.path("train/\(name)/run.json"))
    }

    /// What TRL's own preparation gave: ids and labels; packed rows hold several sequences.
    func rows() throws -> [SFTTrainer.Row] {
        try #require(json["prepared"]?.array).enumerated().map { index, row in
            let ids = try #require(row["input_ids"]?.array).compactMap {
                $0.integer.map(Int32.init)
            }
            let labels = try #require(row["labels"]?.array).compactMap(\.integer)
            let lengths = row["seq_lengths"]?.array?.compactMap(\.integer) ?? [ids.count]
            var start = 0
            return lengths.map { length in
                defer { start += length }
                let range = start..<start + length
                return Example(
                    ids: Array(ids[range]), lossMask: labels[range].map { $0 != -100 }, row: index)
            }
        }
    }

    func options() throws -> TrainingOptions {
        let args = try #require(json["args"])
        func number(_ key: String, _ otherwise: Double) -> Double { args[key]?.double ?? otherwise }
        var options = TrainingOptions()
        options.batchSize = Int(number("per_device_train_batch_size", 8))
        options.evalBatchSize = 2
        options.accumulation = Int(number("gradient_accumulation_steps", 1))
        options.epochs = number("num_train_epochs", 3)
        options.learningRate = number("learning_rate", 2e-5)
        options.hyperparameters.weightDecay = number("weight_decay", 0)
        options.maxGradientNorm = number("max_grad_norm", 1)
        options.loggingSteps = 1
        options.saveSteps = nil
        options.warmup = number("warmup_steps", 0)
        options.schedule = try #require(
            LearningRateSchedule.Kind(rawValue: args["lr_scheduler_type"]?.string ?? "linear"))
        options.minimumRateShare = args["lr_scheduler_kwargs"]?["min_lr_rate"]?.double ?? 0
        options.loss = args["loss_type"]?.string == "dft" ? .dft : .nll
        options.dataSeed = args["data_seed"]?.integer.map { UInt64($0) }
        options.sampling =
            args["train_sampling_strategy"]?.string == "sequential" ? .sequential : .random
        options.optimizer = args["optim"]?.string == "paged_adamw_8bit" ? .adamW8bit : .adamW
        options.checkpointing = .none
        return options
    }

    /// - Parameters:
    ///   - base: the model's folder.
    ///   - adapter: where its values are: `init` or `final`.
    ///   - dropout: nil is the adapter's own.
    func model(
        _ backend: any Backend, base: String = Fixtures.path("lora/base"), adapter: String = "init",
        dropout: Double? = nil
    ) throws -> CausalLM {
        let model = try ModelLoader(
            ModelFiles(base), backend: backend,
            quantization: name.hasPrefix("qlora") ? .nf4(doubleQuantized: true) : .none
        ).load(positions: 512)
        try model.attachAdapter(from: Fixtures.path("train/\(name)/init"), dropout: dropout)
        try model.adapter?.read(from: Fixtures.path("train/\(name)/\(adapter)"), backend: backend)
        return model
    }

    /// - Parameters:
    ///   - model: nil is the run's own.
    ///   - rows: nil are the run's own.
    func trainer(
        _ backend: any Backend, model: CausalLM? = nil, rows: [SFTTrainer.Row]? = nil,
        evalRows: [SFTTrainer.Row]? = nil, output: RunFolder? = nil,
        lossScaler: LossScaler = LossScaler(),
        change: (inout TrainingOptions) -> Void = { _ in },
        report: @escaping (TrainingEvent) throws -> Void = { _ in }
    ) throws -> SFTTrainer {
        var options = try options()
        change(&options)
        let rows = try rows ?? self.rows()
        return try SFTTrainer(
            model: try model ?? self.model(backend), trainRows: rows,
            evalRows: evalRows ?? Array(rows.prefix(3)), options: options,
            arena: try Arena(backend: backend, byteCount: 64 << 20), lossScaler: lossScaler,
            output: output, report: report)
    }

    /// Log entries of training steps.
    var log: [JSON] { json["log_history"]?.array?.filter { $0["loss"] != nil } ?? [] }
}

extension SFTTrainer {
    func adapterValues() throws -> [String: [Float]] {
        Dictionary(
            uniqueKeysWithValues: try adapter.parameters.map {
                ($0.name, try adapterBackend.floats($0.value))
            })
    }

    /// The sums of the last step, before clipping.
    func adapterGradients() throws -> [String: [Float]] {
        Dictionary(
            uniqueKeysWithValues: try adapter.parameters.map {
                ($0.name, try adapterBackend.floats($0.gradient))
            })
    }
}
