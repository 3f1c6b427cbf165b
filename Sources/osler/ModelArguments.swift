internal import ArgumentParser
internal import OslerCompute
internal import OslerData
internal import OslerFormats
internal import OslerModels
internal import OslerTokenizers
internal import OslerTraining

/// A model to run, and how.
struct ModelArguments: ParsableArguments {
    @Option(
        name: .shortAndLong, help: "A Hugging Face folder, a .gguf file, or org/name on the hub.")
    var model: String

    @Option(name: .shortAndLong, help: "A folder with a PEFT LoRA adapter for the model.")
    var adapter: String?

    @Option(
        help: """
            What to compute in: bfloat16, float32, float16 (a GPU only), or auto: bfloat16, but \
            float16 on a GPU that lacks it.
            """)
    var dtype: ModelComputeType = .auto

    @Flag(
        name: .customLong("load-in-4bit"),
        help: "Quantize the layers to NF4, as in QLoRA training.")
    var loadIn4bit = false

    @Option(help: "Where to compute: auto (a GPU if one can be used), cpu, cuda or cuda:1.")
    var device: ComputeDevice = .auto

    @Option(help: DeviceMap.help)
    var deviceMap: DeviceMap?

    @Option(help: "Use this many threads (default: one a core).")
    var threads: Int?

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), give a number from 1 to 1024")
        }
    }

    /// Everything but the weights.
    func open() throws -> OpenModel {
        let files = try modelFiles()
        return OpenModel(files: files, context: try context(files))
    }

    /// The model's description; what is not here is fetched.
    func modelFiles() throws -> ModelFiles {
        try ModelFiles(HubFiles(Console(quiet: false)).path(model))
    }

    /// The adapter's folder; what is not here is fetched.
    func adapterFolder() throws -> String? {
        try adapter.map { try HubFiles(Console(quiet: false)).path($0, .adapter) }
    }

    /// The tokenizer and chat template of a model.
    func context(_ files: ModelFiles) throws -> ChatContext {
        let tokenizer = try Tokenizer.load(
            files.path, embeddingRows: files.configuration.vocabularySize)
        return try ChatContext(tokenizer: tokenizer)
    }

    func makeBackend(_ console: Console) throws -> any Backend {
        try device.backend(
            precision: dtype.precision, threads: threads, map: deviceMap ?? .whole,
            note: console.note)
    }

    /// The model with its adapter.
    ///
    /// - Parameters:
    ///   - positions: the longest sequence that will be run.
    ///   - sequences: how many are continued at once.
    ///   - backend: nil: a new one.
    func load(
        _ files: ModelFiles, positions: Int, sequences: Int = 1, on backend: (any Backend)? = nil,
        _ console: Console
    ) throws -> CausalLM {
        let backend = try backend ?? makeBackend(console)
        let positions = min(positions, files.configuration.maxPositions)
        let folder = try adapterFolder()
        let placement = try placement(
            files, adapter: folder, positions: positions, sequences: sequences, on: backend)
        defer { console.endProgress() }
        let model = try ModelLoader(
            files, backend: backend, quantization: quantization(files, asLoaded: false),
            progress: { console.progress("Loading the model", $0, $1) }
        ).load(positions: positions, placement: placement)
        if let folder { try model.attachAdapter(from: folder) }
        return model
    }

    /// What is asked for, or, `asLoaded`, what the weights are in memory.
    private func quantization(_ files: ModelFiles, asLoaded: Bool) -> WeightQuantization {
        if files.isPrequantized {
            return asLoaded ? .nf4(doubleQuantized: files.isDoubleQuantized) : .none
        }
        return loadIn4bit ? .nf4(doubleQuantized: true) : .none
    }

    /// Where the blocks go on cards that `--device-map auto` may fill.
    private func placement(
        _ files: ModelFiles, adapter: String?, positions: Int, sequences: Int,
        on backend: any Backend
    ) throws -> Placement {
        guard deviceMap == .auto, !backend.cards.isEmpty else { return Placement() }
        let lora = try adapter.map {
            let file = FileSystem.join($0, Adapter.configurationFile)
            return try LoRAConfiguration(json: try JSON.parse(file: file), file: file)
        }
        // As many tokens as commands score at once.
        let tokens = min(positions, 2048)
        let step = SequenceTable.Entry(
            queryOffset: 0, queryCount: 1, keyOffset: 0, keyCount: positions)
        let run = PlannedRun(
            model: files.configuration, precision: backend.precision,
            sequences: [SequenceTable(lengths: [tokens]), SequenceTable(entries: [step])],
            limit: nil, map: .auto)
        let devices = run.devices(of: backend)
        return try PlacementChoice(
            blocks: files.configuration.layers, checkpointing: .block, on: devices
        ) { _, placement in
            try MemoryPlan(
                answering: files.configuration,
                quantization: quantization(files, asLoaded: true), lora: lora,
                sequences: sequences, positions: positions, tokens: tokens, placement: placement,
                on: devices)
        }.best().placement
    }
}

/// A model's description and tokenizer.
struct OpenModel {
    let files: ModelFiles
    let context: ChatContext
    var configuration: ModelConfiguration { files.configuration }
}

/// What a model is run in.
enum ModelComputeType: String, ExpressibleByArgument, CaseIterable {
    case auto, bfloat16, float16, float32
    var precision: Precision? { Precision(rawValue: rawValue) }
}

/// What the CPU computes in.
enum ComputeType: String, ExpressibleByArgument, CaseIterable {
    case bfloat16, float32
    var precision: Precision { self == .float32 ? .float32 : .bfloat16 }
}
