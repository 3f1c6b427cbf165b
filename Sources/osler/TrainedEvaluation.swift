internal import ArgumentParser
internal import OslerCompute
internal import OslerData
internal import OslerEvaluation
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers
internal import OslerTraining

/// `eval_tasks` of a training run: base and tuned answer the same questions, into `evaluation/` of the run's folder.
struct TrainedEvaluation {
    private let job: TrainingJob
    private let tasks: [EvaluationTask]
    private let settings: EvaluationSettings

    /// nil where the configuration has no tasks.
    init?(_ job: TrainingJob) throws {
        let options = job.configuration.taskEvaluation
        guard !options.tasks.isEmpty else { return nil }
        self.job = job
        var settings = EvaluationSettings()
        settings.method = options.method == .generate ? .generate : .loglikelihood
        (settings.maxNewTokens, settings.thinkingBudget) =
            (options.maxNewTokens, options.thinkingBudget)
        (settings.samples, settings.batchSize) = (options.samples, options.batchSize)
        if settings.samples > 1 { settings.sampling.temperature = 0.7 }
        settings.sampling.seed = job.configuration.training.seed
        settings.systemPrompt = job.configuration.data.systemPrompt
        settings.measuresPerplexity = true
        self.settings = settings
        tasks = try options.tasks.map { name in
            let path = try EvaluationRun.find(name, folders: EvaluationSession.taskFolders)
            let task = EvaluationRun.limited(try TaskReader.read(path), to: options.limit)
            try ModelEvaluator.check(task, settings)
            return task
        }
    }

    /// - Returns: a table for each task.
    func run(
        _ trainer: SFTTrainer, adapter: String, _ console: Console, _ stop: StopSignal
    ) throws -> [String] {
        let configuration = job.configuration
        let folder = FileSystem.join(configuration.outputDirectory, "evaluation")
        let open = OpenModel(
            files: job.files,
            context: try ChatContext(
                tokenizer: job.tokenizer, eosToken: configuration.data.eosToken,
                templateVariables: configuration.data.templateVariables))
        let session = EvaluationSession(
            run: try EvaluationRun(tasks: tasks, settings: settings, folder: folder),
            chat: open.context, stopTokens: try open.stopTokens(), console: console,
            shouldStop: { stop.isRequested })
        let identity = try EvaluationSession.identity(
            job.files, adapter: adapter,
            dtype: trainer.adapterBackend.precision.rawValue,
            quantizes: configuration.quantization != .none)
        let logs = try session.openLogs([.base, .tuned], identity: identity, restarts: true)
        guard try session.answer(trainer.model, logs) else {
            console.note(
                "evaluation stopped; the adapter is saved, osler evaluate compares it")
            throw ExitCode(130)
        }
        let rows = try Dataset.read(job.inputs.dataset, name: configuration.dataset).rows
        let comparisons = try session.finish(
            logs, training: job.train.rows.map { rows[$0] }, header: ["model": identity])
        return comparisons.map(\.table) + ["evaluation: \(folder)/comparison.json"]
    }
}
