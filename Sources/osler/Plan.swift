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
            osler plan recipes/quickstart.yaml --gpu-memory 8GB --device-map auto
            """)

    @OptionGroup var arguments: ConfigurationArguments
    @Option(
        help: """
            Plan for GPUs of this memory, which need not be here: 8GB, or 24GiB,24GiB for two. What a driver and a context \
            take is estimated.
            """)
    var gpuMemory: CardMemory?
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let console = Console(quiet: false)
        let configuration = try arguments.load()
        if let bytes = gpuMemory?.bytes {
            let job = try arguments.open(configuration, console)
            let cards = bytes.map(try job.planned.card)
            let plan = try job.plan(on: cards)
            return console.print(
                json ? plan.json.serialized(indent: 2) : plan.table(of: cards, bytes: bytes))
        }
        let backend = try configuration.makeBackend(console)
        let job = try arguments.open(configuration, console)
        let plan = try job.plan(on: backend)
        console.print(json ? plan.json.serialized(indent: 2) : plan.table)
    }
}
