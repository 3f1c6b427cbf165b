internal import OslerCompute
internal import OslerData
internal import OslerFormats
internal import OslerModels

extension SFTTrainer {
    private static let optimizerFile = "optimizer.safetensors"
    private static let stateFile = "osler_state.json"
    private static let trainerStateFile = "trainer_state.json"

    /// Writes `checkpoint-N/`: the adapter in PEFT's files, the optimizer's states, transformers' `trainer_state.json`
    /// and Osler's own state. The folder appears whole or not at all.
    func save() throws {
        guard let output else { return }
        let path = output.checkpointPath(state.step)
        let folder = try AtomicFolder(path)
        try folder.fill { place in
            try adapter.write(into: place, baseModel: output.baseModel, backend: model.backend)
            try SafetensorsWriter.write(
                optimizer.tensors.map { ($0.name, $0.tensor) }, backend: model.backend,
                to: FileSystem.join(place, Self.optimizerFile))
            try AtomicFile.write(
                state.trainerStateJSON(self).serialized(indent: 2) + "\n",
                to: FileSystem.join(place, Self.trainerStateFile))
            try AtomicFile.write(
                state.oslerStateJSON(fingerprint: fingerprint).serialized(indent: 2) + "\n",
                to: FileSystem.join(place, Self.stateFile))
        }
        try folder.commit()
        if let limit = options.saveTotalLimit { try output.prune(keeping: limit) }
        try report(.saved(path: path, step: state.step))
    }

    /// Puts adapter, optimizer and state as they were when the checkpoint was written.
    ///
    /// - Throws: when a file is missing or damaged, or the checkpoint belongs to another run.
    package func resume(from path: String) throws {
        let stateFile = FileSystem.join(path, Self.stateFile)
        let json = try JSON.parse(file: stateFile)
        try checkFingerprint(json["fingerprint"]?.object, file: stateFile)
        let trainerState = try JSON.parse(file: FileSystem.join(path, Self.trainerStateFile))
        let restored = try TrainerState(
            oslerState: json, trainerState: trainerState, totalSteps: plan.totalSteps,
            isScaled: state.scaler != nil, file: stateFile)
        try adapter.read(from: path, backend: model.backend)
        try SafetensorsFile(FileSystem.join(path, Self.optimizerFile)).read(
            optimizer.tensors.map { ($0.name, $0.tensor) }, backend: model.backend)
        state = restored
        try output?.writeMetrics(state.log)
    }

    /// What must be the same for a continued run to equal an uninterrupted one.
    var fingerprint: [(String, String)] {
        let o = options
        let (h, lora) = (o.hyperparameters, adapter.configuration)
        return [
            ("base_model_name", output?.baseModel ?? ""),
            ("base_weights", "\(model.weightBytes) bytes"),
            ("adapter", "\(adapter.parameterCount) parameters"),
            ("lora_alpha", "\(lora.alpha)"), ("alpha_pattern", "\(lora.alphaPattern)"),
            ("use_rslora", "\(lora.rankStabilized)"), ("lora_dropout", "\(lora.dropout)"),
            ("train_rows", "\(trainRows.count)"), ("train_data", "\(dataHash)"),
            ("precision", "\(model.backend.precision)"),
            ("per_device_train_batch_size", "\(o.batchSize)"),
            ("gradient_accumulation_steps", "\(o.accumulation)"),
            ("max_steps", "\(plan.totalSteps)"), ("learning_rate", "\(o.learningRate)"),
            ("lr_scheduler_type", o.schedule.rawValue), ("warmup_steps", "\(o.warmup)"),
            ("num_cycles", "\(o.cosineCycles)"), ("min_lr_rate", "\(o.minimumRateShare)"),
            ("optim", "\(o.optimizer)"), ("weight_decay", "\(h.weightDecay)"),
            ("adam_beta1", "\(h.beta1)"), ("adam_beta2", "\(h.beta2)"),
            ("adam_epsilon", "\(h.epsilon)"),
            ("max_grad_norm", "\(o.maxGradientNorm)"), ("loss_type", o.loss.rawValue),
            ("seed", "\(o.seed)"), ("data_seed", o.dataSeed.map { "\($0)" } ?? "none"),
            ("train_sampling_strategy", o.sampling.rawValue),
        ]
    }

    private func checkFingerprint(_ found: JSON.Object?, file: String) throws {
        for (key, value) in fingerprint {
            guard let saved = found?[key]?.string else {
                throw InputError(
                    "nothing here says what the checkpoint was made with", file: file, field: key,
                    remedy: "it is from another version of osler; start anew")
            }
            if saved == value { continue }
            if key == "train_data" {
                throw InputError(
                    "the checkpoint was made with other rows: their tokens or their loss mask differ",
                    file: file, field: key,
                    remedy: "resume with the data, the split, the tokenizer and the chat template "
                        + "that the run began with")
            }
            throw InputError(
                "the checkpoint was made with \(saved), this run has \(value)", file: file,
                field: key, remedy: "resume with the configuration that the run began with")
        }
    }
}

extension StableHash {
    /// Of rows: every token, whether it is in the loss, and where sequences and rows end.
    init(_ rows: [SFTTrainer.Row]) {
        self.init()
        for row in rows {
            for example in row {
                for (id, isLabel) in zip(example.ids, example.lossMask) {
                    add(UInt64(truncatingIfNeeded: id) << 2 | (isLabel ? 1 : 0))
                }
                add(2)
            }
            add(3)
        }
    }
}
