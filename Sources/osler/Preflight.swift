internal import ArgumentParser
internal import OslerData
internal import OslerFormats
internal import OslerTraining

struct PreflightCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preflight",
        abstract: "Proves that the labels are right, before any training.",
        discussion: """
            Every assistant text survives the chat template byte for byte; the inference prompt is a token prefix of \
            the training row; BOS stands once and the end of the turn is in the loss. Also: lengths and what each \
            max_length policy would do, tokens in the loss, duplicates within and across splits, one row with its \
            loss mask. Exit code 1 when training must not start.

            osler preflight recipes/quickstart.yaml
            osler preflight recipes/seed-notebook.yaml max_length=2048 --json
            """)

    @OptionGroup var arguments: ConfigurationArguments
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let console = Console(quiet: false)
        let job = try TrainingJob(arguments.load())
        let report = try job.preflight()
        if json {
            console.print(report.json.serialized(indent: 2, ensureASCII: false))
        } else {
            console.print(report.text(colour: console.usesColor))
        }
        try report.check()
    }
}
