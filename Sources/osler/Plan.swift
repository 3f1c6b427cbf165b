internal import ArgumentParser
internal import OslerCompute
internal import OslerFormats
internal import OslerTraining

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Says how much memory a run will take, before anything is loaded.",
        discussion: """
            osler plan recipes/seed-notebook.yaml
            osler plan recipes/seed-notebook.yaml per_device_train_batch_size=1 --json
            """)

    @OptionGroup var arguments: ConfigurationArguments
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let console = Console(quiet: false)
        let configuration = try arguments.load()
        let backend = try configuration.makeBackend(console)
        let job = try arguments.open(configuration, console)
        let plan = try job.plan(on: backend)
        console.print(json ? plan.json.serialized(indent: 2) : plan.table)
    }
}
