internal import ArgumentParser
internal import OslerCompute
internal import OslerData
internal import OslerEvaluation
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Asks a model questions and counts the right answers, tuned against base.",
        discussion: """
            Tasks are files of multiple choice (MedQA, MedMCQA, PubMedQA, MMLU, HuatuoGPT-o1's eval_data.json) or open \
            questions, as JSON, JSONL or CSV, or names of such files in the working folder, evaluation/ or $OSLER_TASKS. \
            Greedy unless --temperature or --samples says otherwise. An answer that can't be read counts as wrong. With \
            --compare-base both models answer the same items, and the difference comes with a bootstrap interval and \
            McNemar's exact p. Everything is written to --output; a run that was stopped goes on there.

            osler evaluate --model MODEL --adapter ADAPTER --tasks medqa.jsonl --compare-base
            osler evaluate --model MODEL --adapter ADAPTER --tasks medqa.jsonl --compare-base --method loglikelihood
            osler evaluate --model MODEL --tasks medqa.jsonl --limit 200 --thinking-budget 512 --output results/base
            """)

    @OptionGroup var modelArguments: ModelArguments

    @Option(parsing: .upToNextOption, help: "Files of questions, or names of them.")
    var tasks: [String]

    @Flag(help: "Evaluate the model without the adapter too, and compare.")
    var compareBase = false

    @Option(
        help: """
            generate: the model writes an answer, which is read. loglikelihood: how probable is each option, as in \
            lm-evaluation-harness.
            """)
    var method: EvaluationSettings.Method = .generate

    @Option(
        help: """
            With loglikelihood: letters compares the letters of options that stand in the prompt, texts the options' \
            texts.
            """)
    var choices: EvaluationSettings.Choices = .letters

    @Option(help: "Take questions as choice or open (default: what the first row looks like).")
    var answers: TaskReader.Form?

    @Option(help: "At most this many items of each task, spread evenly over it.")
    var limit: Int?

    @Option(name: .shortAndLong, help: "The folder to write to.")
    var output = "evaluation"

    @Option(help: "Answer this many items at once.")
    var batchSize = 16

    @Option(help: "Draw this many answers for each item; the majority counts.")
    var samples = 1

    @Option(help: "End reasoning that is longer than this many tokens, so that an answer follows.")
    var thinkingBudget: Int?

    @Option(help: "Training data: items that stand in it are set apart.")
    var trainingData: String?

    @Option(help: "A system message before each question.")
    var system: String?

    @Flag(help: "Measure the perplexity of reference reasoning and responses, too.")
    var perplexity = false

    @Flag(help: "Throw away what --output holds and begin again.")
    var restart = false

    @OptionGroup var sampling: SamplingArguments

    @Flag(help: "Print comparison.json instead of a table.")
    var json = false

    func validate() throws {
        guard !tasks.isEmpty else { throw ValidationError("--tasks needs a file") }
        for (name, value) in [
            ("--batch-size", batchSize), ("--samples", samples), ("--limit", limit ?? 1),
            ("--thinking-budget", thinkingBudget ?? 1),
        ] where value < 1 {
            throw ValidationError("\(name) is \(value), give at least 1")
        }
        guard batchSize <= 1024, samples <= 1024 else {
            throw ValidationError("--batch-size and --samples are at most 1024")
        }
        if compareBase, modelArguments.adapter == nil {
            throw ValidationError("--compare-base needs --adapter: the model alone is the base")
        }
        if samples > 1, sampling.greedy || method == .loglikelihood {
            throw ValidationError("--samples draws: leave --greedy and --method loglikelihood out")
        }
    }

    func run() throws {
        let console = Console(quiet: json)
        let tasks = try tasks.map { name in
            let path = try EvaluationRun.find(name, folders: EvaluationSession.taskFolders)
            return EvaluationRun.limited(try TaskReader.read(path, form: answers), to: limit)
        }
        let training = try trainingData.map { try Dataset.read($0).rows }
        let open = try modelArguments.open()
        let run = try EvaluationRun(
            tasks: tasks, settings: try settings(open.files), folder: output)
        let backend = try modelArguments.makeBackend(console)
        let identity = try EvaluationSession.identity(
            open.files, adapter: modelArguments.adapterFolder(),
            dtype: backend.precision.rawValue,
            quantizes: modelArguments.loadIn4bit)
        let stop = StopSignal()
        let session = EvaluationSession(
            run: run, chat: open.context, stopTokens: try open.stopTokens(),
            console: console, shouldStop: { stop.isRequested })
        let sides: [EvaluationRun.Side] =
            modelArguments.adapter == nil ? [.base] : compareBase ? [.base, .tuned] : [.tuned]
        // Told before the weights are read.
        let logs = try session.openLogs(sides, identity: identity, restarts: restart)
        let model = try modelArguments.load(
            open.files, positions: 2048, sequences: batchSize, on: backend, console)
        guard try session.answer(model, logs) else {
            console.note("stopped; the same command goes on")
            throw ExitCode(130)
        }
        let comparisons = try session.finish(
            logs, training: training, header: ["model": identity])
        if json {
            console.print(
                try FileSystem.readText(FileSystem.join(output, "comparison.json")))
        } else {
            for comparison in comparisons { console.write(comparison.table) }
            console.write("written: \(output)/comparison.json, items.jsonl")
        }
    }

    private func settings(_ files: ModelFiles) throws -> EvaluationSettings {
        var settings = EvaluationSettings()
        (settings.method, settings.choices) = (method, choices)
        (settings.maxNewTokens, settings.thinkingBudget) = (sampling.maxNewTokens, thinkingBudget)
        (settings.samples, settings.batchSize) = (samples, batchSize)
        (settings.measuresPerplexity, settings.systemPrompt) = (perplexity, system)
        settings.sampling = try EvaluationSession.sampling(sampling, samples: samples, files)
        return settings
    }
}

extension EvaluationSettings.Method: ExpressibleByArgument {}
extension EvaluationSettings.Choices: ExpressibleByArgument {}
extension TaskReader.Form: ExpressibleByArgument {}
