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
            oslerState: json, trainerState: trainerState, file: stateFile)
        try adapter.read(from: path, backend: model.backend)
        try SafetensorsFile(FileSystem.join(path, Self.optimizerFile)).read(
            optimizer.tensors.map { ($0.name, $0.tensor) }, backend: model.backend)
        state = restored
        try output?.writeMetrics(state.log)
    }

    /// What must be the same for a continued run to equal an uninterrupted one.
    var fingerprint: [(String, String)] {
        let o = options
        return [
            ("base_model_name", output?.baseModel ?? ""),
            ("adapter", "\(adapter.parameterCount) parameters"),
            ("train_rows", "\(trainRows.count)"),
            ("train_tokens", "\(trainRows.reduce(0) { $0 + $1.reduce(0) { $0 + $1.ids.count } })"),
            ("precision", "\(model.backend.precision)"),
            ("per_device_train_batch_size", "\(o.batchSize)"),
            ("gradient_accumulation_steps", "\(o.accumulation)"),
            ("max_steps", "\(plan.totalSteps)"), ("learning_rate", "\(o.learningRate)"),
            ("lr_scheduler_type", o.schedule.rawValue), ("warmup_steps", "\(o.warmup)"),
            ("optim", "\(o.optimizer)"), ("weight_decay", "\(o.hyperparameters.weightDecay)"),
            ("max_grad_norm", "\(o.maxGradientNorm)"), ("loss_type", o.loss.rawValue),
            ("seed", "\(o.seed)"), ("data_seed", o.dataSeed.map { "\($0)" } ?? "none"),
            ("lora_dropout", "\(adapter.configuration.dropout)"),
            ("sampling", o.sampling.rawValue),
        ]
    }

    private func checkFingerprint(_ found: JSON.Object?, file: String) throws {
        for (key, value) in fingerprint {
            guard let saved = found?[key]?.string, saved == value else {
                throw InputError(
                    "the checkpoint was made with \(found?[key]?.string ?? "nothing"), this run has \(value)",
                    file: file, field: key,
                    remedy: "resume with the configuration that the run began with")
            }
        }
    }
}
