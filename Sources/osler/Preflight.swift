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

            It also looks for what may identify a person (dates, phone numbers, e-mail, record numbers, addresses, \
            names), for questions that are nearly the same, other languages, empty reasoning, and answers that \
            contradict their options. Places are named, values never shown; a scan that finds nothing proves nothing.

            osler preflight recipes/quickstart.yaml
            osler preflight recipes/seed-notebook.yaml max_length=2048 --json
            """)

    @OptionGroup var arguments: ConfigurationArguments
    @Flag(help: "Print JSON.") var json = false
    @Flag(
        name: .customLong("fail-on-phi"),
        help: "Exit code 1 when anything was found that may identify a person.")
    var failsOnIdentifiers = false

    func run() throws {
        let console = Console(quiet: false)
        let job = try arguments.open(arguments.load(), console)
        let report = try job.preflight(withCare: true)
        if json {
            console.print(report.json.serialized(indent: 2, ensureASCII: false))
        } else {
            console.print(report.text(colour: console.usesColor))
        }
        try report.check()
        if failsOnIdentifiers { try report.care?.checkIdentifiers() }
    }
}
