internal import ArgumentParser
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts an adapter into its base model: a 16-bit model that needs no adapter.",
        discussion: """
            Writes bfloat16 safetensors with configuration and tokenizer, and keeps them only if the merged model \
            agrees with base and adapter on a probe. 4-bit bases are dequantized, .gguf files become Hugging Face \
            folders.

            osler merge --model MODEL --adapter ADAPTER -o merged
            """)

    @Option(
        name: .shortAndLong, help: "A Hugging Face folder, a .gguf file, or org/name on the hub.")
    var model: String

    @Option(name: .shortAndLong, help: "A folder with a PEFT LoRA adapter for the model.")
    var adapter: String

    @OptionGroup var destination: DestinationArguments

    @Option(help: "Use this many threads (default: one a core).")
    var threads: Int?

    @Flag(help: "Print {\"output\", \"divergence\", \"same_top\"}.")
    var json = false

    /// What merged model and base with adapter are compared on.
    private static let probe = """
        A 47-year-old man presents with fatigue and swelling of the legs. Which findings would you look for, and why? \
        First, I consider heart, liver and kidney disease. The venous pressure is high, so the right heart comes first.
        """

    func run() throws {
        let console = Console(quiet: false)
        let files = try ModelFiles(HubFiles(console).path(model))
        let adapter = try HubFiles(console).path(adapter, .adapter)
        let probe = try Tokenizer.load(
            files.path, embeddingRows: files.configuration.vocabularySize
        ).encode(Self.probe)
        let stop = StopSignal()
        let folder = try destination.create()
        let merger = try ModelMerger(files, adapter: adapter, threads: threads) {
            console.progress("Merging", $0, $1)
            try stop.check()
        }
        let agreement = try folder.fill {
            try merger.merge(
                into: $0, probe: Array(probe.prefix(files.configuration.maxPositions)))
        }
        console.endProgress()
        try folder.commit()
        if json {
            let result: JSON = [
                "output": .string(destination.output),
                "divergence": .number(agreement.divergence),
                "same_top": .number(agreement.sameTop),
            ]
            console.print(result.serialized(ensureASCII: false))
        } else {
            console.print(
                "checked against base and adapter: divergence \(agreement.divergence.scientific) nats, "
                    + "same most probable token \((agreement.sameTop * 100).fixed(1)) %")
            console.print("merged model: \(destination.output)")
        }
    }
}

/// Where a command writes a model folder.
struct DestinationArguments: ParsableArguments {
    @Option(name: .shortAndLong, help: "The folder to write.")
    var output: String

    /// A folder that appears when it is complete.
    ///
    /// - Throws: when there is something of that name already.
    func create() throws -> AtomicFolder {
        if FileSystem.exists(output),
            try !FileSystem.isDirectory(output) || !FileSystem.list(output).isEmpty
        {
            throw InputError(
                "exists already", file: output, remedy: "name another folder, or remove it")
        }
        return try AtomicFolder(output)
    }
}
