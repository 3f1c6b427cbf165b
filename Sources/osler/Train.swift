internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerData
internal import OslerFormats
internal import OslerModels
internal import OslerTraining

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fine-tunes a model as a configuration says, and saves a PEFT adapter.",
        discussion: """
            Checks the data first (see osler preflight), plans the memory, trains, evaluates and saves \
            checkpoints on the way. Keys are Hugging Face's names.

            osler train recipes/seed-notebook.yaml
            osler train recipes/quickstart.yaml max_steps=10 learning_rate=1e-4
            osler train recipes/quickstart.yaml --resume
            """)

    @OptionGroup var arguments: ConfigurationArguments

    @Flag(help: "Continue from the latest checkpoint in output_dir, bit for bit.")
    var resume = false

    @Flag(help: "Print less: no preflight report, no progress line.")
    var quiet = false

    @Flag(
        help: "Print nothing but one JSON object at the end: steps with seconds, summary, memory.")
    var json = false

    @Flag(
        help: """
            Measure every operation, and print where the time went: calls, seconds, needed GFLOP/s \
            and GB/s, also when stopped with Ctrl-C. OSLER_PROFILE=1 does the same.
            """)
    var profile = false

    func run() throws {
        let recipe = try arguments.recipe()
        var configuration = try arguments.load(recipe)
        if resume { configuration.resumeFrom = "latest" }
        let console = Console(quiet: quiet || json)
        for key in configuration.withoutEffect {
            console.note("\(key) has no effect here and is ignored")
        }
        let backend = try configuration.makeBackend(console)
        let job = try arguments.open(configuration, console)
        // Bad questions are told before hours of training.
        let tasks = try TrainedEvaluation(job)
        let report = try job.preflight()
        if !console.quiet { console.write(report.text(colour: console.usesColor)) }
        try report.check()
        let profiler =
            profile || Profile.isWantedByEnvironment ? ProfilingBackend(backend) : nil
        let plan = try job.plan(on: backend)
        for card in backend.cards.prefix(plan.shares.count) {
            console.write("computes on \(card.card.name)")
        }
        console.write(plan.table)
        try plan.checkFits(configuration, on: backend)
        let display = TrainingDisplay(console)
        let recorder = try RunRecorder(job, recipe, report, plan, on: backend)
        let trackers = try RunTrackers(configuration, recipe, display, recorder, console)
        defer { recorder.writeReport(console) }
        try trackers.following {
            let trainer = try job.makeTrainer(
                backend: profiler ?? backend,
                loading: { console.progress("Loading the model", $0, $1) },
                report: trackers.receive)
            console.endProgress()
            console.write(trainer.trainableLine)
            profiler?.restart()
            defer { if let profiler, !json { console.print(profiler.profile.table) } }
            try train(trainer, job, console, display, recorder, plan, profiler, tasks)
        }
        trackers.handOver()
    }

    private func train(
        _ trainer: SFTTrainer, _ job: TrainingJob, _ console: Console,
        _ display: TrainingDisplay, _ recorder: RunRecorder, _ plan: MemoryPlan,
        _ profiler: ProfilingBackend?, _ tasks: TrainedEvaluation?
    ) throws {
        let stop = StopSignal()
        var before: EvaluationResult?
        if job.configuration.evaluatesOnStart, trainer.hasEvalRows, trainer.stepsDone == 0 {
            before = try trainer.evaluate()
            if let before { recorder.evaluated(before: before) }
            console.write("before training: \(before?.line ?? "")")
        }
        guard let summary = try trainer.train(shouldStop: { stop.isRequested }) else {
            console.write("continue with: osler train \(arguments.file) --resume")
            if json {
                let peak = trainer.adapterBackend.mostHeldBytes
                console.print(self.json(nil, display, plan, profiler, peak).serialized())
            }
            throw ExitCode(130)
        }
        let folder = try job.saveAdapter(trainer)
        // What hashing and questions take is not in the plan.
        let peak = trainer.adapterBackend.mostHeldBytes
        if !json {
            for line in summaryLines(summary, trainer, before) { console.print(line) }
            console.write(
                "memory: planned \(plan.total.mebibytes), peak measured \(peak.mebibytes)")
            console.write("adapter: \(folder)")
        }
        try recorder.complete(peakBytes: peak, console)
        let tables = try tasks?.run(trainer, adapter: folder, console, stop)
        if json {
            return console.print(self.json(summary, display, plan, profiler, peak).serialized())
        }
        for table in tables ?? [] { console.write(table) }
    }

    /// - Parameter summary: nil when the run was stopped.
    private func json(
        _ summary: JSON.Object?, _ display: TrainingDisplay, _ plan: MemoryPlan,
        _ profiler: ProfilingBackend?, _ peakBytes: Int
    ) -> JSON {
        let steps = display.steps.map { step -> JSON in
            var object: JSON.Object = [
                "step": .integer(step.step), "loss": .number(step.loss),
                "grad_norm": step.gradientNorm.map(JSON.number) ?? .null,
                "tokens": .integer(step.tokens), "seconds": .number(step.seconds),
                "needed_gflop": .number(Double(step.needed.total) / 1e9),
            ]
            if let scale = step.lossScale { object["loss_scale"] = .number(scale) }
            return JSON.object(object)
        }
        var object: JSON.Object = ["steps": .array(steps)]
        if let summary { object["summary"] = .object(summary) }
        object["planned_bytes"] = .integer(plan.total)
        object["peak_bytes"] = .integer(peakBytes)
        if let profiler { object["profile"] = profiler.profile.json }
        return .object(object)
    }

    private func summaryLines(
        _ summary: JSON.Object, _ trainer: SFTTrainer, _ before: EvaluationResult?
    ) -> [String] {
        func number(_ key: String) -> Double { summary[key]?.double ?? .nan }
        var lines = [
            "trained \(trainer.stepsDone) steps in \(number("train_runtime").clock), mean loss \(number("train_loss").fixed(4))"
        ]
        guard let last = trainer.logEntries.last(where: { $0["eval_nll"] != nil }) else {
            return lines
        }
        let nll = last["eval_nll"]?.double ?? .nan
        let perplexity = last["eval_perplexity"]?.double ?? .nan
        if let before {
            lines.append(
                "held-out nll \(before.negativeLogLikelihood.fixed(4)) -> \(nll.fixed(4)), perplexity \(before.perplexity.fixed(3)) -> \(perplexity.fixed(3))"
            )
        } else {
            lines.append("held-out nll \(nll.fixed(4)), perplexity \(perplexity.fixed(3))")
        }
        return lines
    }
}
