package import OslerCompute
package import OslerData
internal import OslerFormats
package import OslerModels
package import OslerTokenizers

/// A run from configuration to saved adapter, in steps that can be taken and looked at alone: data, preflight, plan,
/// model, training.
package final class TrainingJob {
    package let configuration: SFTConfiguration
    package let inputs: TrainingInputs
    package let files: ModelFiles
    package let tokenizer: Tokenizer
    package let preparation: DataPreparation
    package let train: PreparedDataset
    package let eval: PreparedDataset?
    package let test: PreparedDataset?
    /// What the run keeps for backward; where the configuration leaves it open `plan` decides.
    package private(set) var checkpointing: Checkpointing
    /// Where the model's blocks are kept, as `plan` decides.
    package private(set) var placement = Placement()

    /// Reads the model's description, the tokenizer and the data, and tokenizes every row; no weights.
    ///
    /// - Parameter inputs: where the files are; nil: where the configuration says.
    package init(_ configuration: SFTConfiguration, inputs: TrainingInputs? = nil) throws {
        let inputs = inputs ?? TrainingInputs(configuration)
        (self.configuration, self.inputs) = (configuration, inputs)
        checkpointing = configuration.checkpointing ?? .block
        files = try ModelFiles(inputs.model)
        tokenizer = try Tokenizer.load(
            inputs.model, embeddingRows: files.configuration.vocabularySize)
        let context = try ChatContext(
            tokenizer: tokenizer, eosToken: configuration.data.eosToken,
            templateVariables: configuration.data.templateVariables)
        preparation = DataPreparation(context, configuration.data)
        let dataset = try Dataset.read(inputs.dataset, name: configuration.dataset)
        let split = try configuration.split.split(count: dataset.rows.count)
        train = try preparation.prepare(dataset, rows: split.train, name: "train")
        if let paths = inputs.evalDataset {
            let dataset = try Dataset.read(paths, name: configuration.evalDataset ?? "")
            eval = try preparation.prepare(dataset, name: "eval")
        } else {
            eval =
                split.eval.isEmpty
                ? nil : try preparation.prepare(dataset, rows: split.eval, name: "eval")
        }
        test =
            split.test.isEmpty
            ? nil : try preparation.prepare(dataset, rows: split.test, name: "test")
    }

    /// The proofs over all parts of the data.
    ///
    /// - Parameter withCare: also looks for what may identify a person, near-duplicates and flaws.
    package func preflight(withCare: Bool = false) throws -> PreflightReport {
        let parts = [train, eval, test].compactMap { $0 }
        var report = try Preflight.run(parts, preparation)
        if withCare { report.care = try DataCare(parts, threads: configuration.data.threads) }
        return report
    }

    // MARK: Sizes

    private var stepPlan: StepPlan {
        get throws {
            let options = configuration.training
            return try StepPlan(
                examples: train.units.count, batchSize: options.batchSize,
                accumulation: options.accumulation, epochs: options.epochs,
                maxSteps: options.maxSteps)
        }
    }

    /// Training options with evaluation and saving turned into steps.
    private var options: TrainingOptions {
        get throws {
            let stepsPerEpoch = try stepPlan.stepsPerEpoch
            func steps(_ interval: SFTConfiguration.Interval) -> Int? {
                switch interval {
                case .never: nil
                case .epoch: stepsPerEpoch
                case .steps(let steps): steps
                }
            }
            var options = configuration.training
            options.checkpointing = checkpointing
            options.evalSteps = steps(configuration.evaluation)
            options.saveSteps = steps(configuration.saving)
            return options
        }
    }

    /// The longest sequence of the run.
    package var longestSequence: Int {
        let units = train.units + (eval?.units ?? [])
        return units.joined().map(\.ids.count).max() ?? 1
    }

    /// Those of the run's micro-batches that need the most memory.
    private func largestTrainBatches() throws -> [TokenBatch] {
        let (options, plan) = (configuration.training, try stepPlan)
        var largest: [TokenBatch] = []
        for epoch in 0..<plan.epochs {
            let order = epochOrder(
                count: train.units.count, epoch: epoch, seed: options.dataSeed ?? options.seed,
                strategy: options.sampling)
            let steps = plan.totalSteps - epoch * plan.stepsPerEpoch
            let batches = microBatchSlices(order, size: options.batchSize)
                .prefix(steps * options.accumulation)
            largest = largestBatches(largest + batches.map { TokenBatch(train.microBatch($0)) })
        }
        return largest
    }

    private var largestEvalBatches: [TokenBatch] {
        guard let eval else { return [] }
        let slices = microBatchSlices(
            Array(eval.units.indices), size: configuration.training.evalBatchSize)
        return largestBatches(slices.map { TokenBatch(eval.microBatch($0)) })
    }

    /// How the sequences lie in the batches that need the most memory.
    package func largestSequences() throws -> [SequenceTable] {
        try (largestTrainBatches() + largestEvalBatches).map {
            SequenceTable(lengths: $0.lengths)
        }
    }

    /// Bytes by category, before anything is loaded. What the configuration leaves open (what is computed again, and with
    /// `device_map: auto` where blocks are) is chosen to cost the least that fits.
    package func plan(on devices: [PlannedDevice]) throws -> MemoryPlan {
        let (train, eval) = (try largestTrainBatches(), largestEvalBatches)
        let (usual, adapter) = (try options, try lora())
        let choice = PlacementChoice(
            blocks: files.configuration.layers, checkpointing: configuration.checkpointing,
            on: devices
        ) { [self] checkpointing, placement in
            var options = usual
            options.checkpointing = checkpointing
            return try MemoryPlan(
                model: files.configuration,
                quantization: files.isPrequantized
                    ? .nf4(doubleQuantized: files.isDoubleQuantized) : configuration.quantization,
                embeddingStaysInFile: files.embeddingStaysInFile(on: devices[0].backend),
                lora: adapter, options: options, placement: placement, trainBatches: train,
                evalBatches: eval, positions: longestSequence, on: devices)
        }
        let best = try choice.best()
        (checkpointing, placement) = (best.checkpointing, best.placement)
        return best
    }

    /// The adapter to train: the configuration's, or that of the adapter to continue from.
    private func lora() throws -> LoRAConfiguration {
        guard let folder = inputs.startingAdapter else { return configuration.lora }
        let file = FileSystem.join(folder, Adapter.configurationFile)
        return try LoRAConfiguration(json: try JSON.parse(file: file), file: file)
    }

    // MARK: Training

    /// Loads the model, attaches the adapter, and makes the trainer; resumes where the configuration says so.
    package func makeTrainer(
        backend: any Backend, loading: @escaping (Int, Int) -> Void,
        report: @escaping (TrainingEvent) throws -> Void
    ) throws -> SFTTrainer {
        let output = try RunFolder(
            path: configuration.outputDirectory, baseModel: configuration.baseModel)
        let model = try ModelLoader(
            files, backend: backend,
            quantization: files.isPrequantized ? .none : configuration.quantization,
            progress: loading
        ).load(positions: longestSequence, placement: placement)
        if let folder = inputs.startingAdapter {
            try model.attachAdapter(from: folder, dropout: configuration.lora.dropout)
        } else {
            try model.attach(configuration.lora, seed: configuration.training.seed)
        }
        let options = try options
        let bytes = try MemoryPlan.arenaBytes(
            files.configuration, lora: try lora(), options: options, placement: placement,
            trainBatches: try largestTrainBatches(), evalBatches: largestEvalBatches,
            backend: backend)
        let arena = try Arena(
            backend: backend,
            byteCounts: zip(bytes.training, bytes.evaluation).map { max($0, $1) })
        let trainer = try SFTTrainer(
            model: model, trainRows: train.units, evalRows: eval?.units ?? [], options: options,
            arena: arena, output: output, report: report)
        if let checkpoint = try checkpointToResume(output) { try trainer.resume(from: checkpoint) }
        return trainer
    }

    /// `resume_from_checkpoint`: a folder, or `latest`.
    private func checkpointToResume(_ output: RunFolder) throws -> String? {
        guard let name = configuration.resumeFrom else { return nil }
        if name != "latest" { return name }
        guard let step = try output.checkpointSteps().last else {
            throw InputError(
                "no checkpoint here", file: output.path, field: "resume_from_checkpoint",
                remedy: "leave --resume out to start from the beginning")
        }
        return output.checkpointPath(step)
    }

    /// Writes the adapter and the model's tokenizer files to the adapter folder.
    package func saveAdapter(_ trainer: SFTTrainer) throws -> String {
        let folder = configuration.adapterDirectory
        try FileSystem.createDirectories(folder)
        try trainer.adapter.write(
            into: folder, baseModel: configuration.baseModel, backend: trainer.model.backend)
        guard FileSystem.isDirectory(files.path) else { return folder }
        for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            let source = FileSystem.join(files.path, name)
            guard FileSystem.exists(source) else { continue }
            try AtomicFile.write(
                try FileSystem.read(source), to: FileSystem.join(folder, name))
        }
        return folder
    }
}
