internal import ArgumentParser
internal import OslerCompute
internal import OslerData
internal import OslerFormats
internal import OslerModels
internal import OslerTraining

struct BenchTrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Runs real LoRA training steps on a model with random weights and tokens.",
        discussion: """
            Says how fast this machine would train a model, how much memory that takes, and which share of its own peak it \
            reaches; nothing is read or written. The step is that of osler train: forward, loss, backward, clipping, AdamW. \
            Tokens are random; all of a row's are in the loss but its first quarter. LoRA has no dropout here. The first \
            step is left out of the pace when there are more. On a CPU an embedding that isn't the head too has rows for \
            the batch's tokens only: a run reads them in the model's file.

            Needed flops: \(TrainingFlops.formula). A CPU's peak is that of multiply-adds on registers, by the same \
            instructions, on as many threads, measured just before and after; a card's that of a large matrix product, \
            measured after.

            osler bench train --shape smollm2-135m --random-weights
            osler bench train --shape r1-distill-llama-8b --random-weights --nf4 --layers 2 --profile
            osler bench train --shape r1-distill-llama-8b --random-weights --rows 4096 --batch 2 --device cuda
            """)

    @Option(help: "Which model's sizes.")
    var shape: ModelShape

    @Flag(help: "Make the weights up; the only kind that there is here.")
    var randomWeights = false

    @Flag(help: "Hold the layers in NF4 with double quantization, as QLoRA does, not in bfloat16.")
    var nf4 = false

    @Option(help: "What to compute in: bfloat16 or float32.")
    var dtype: ComputeType = .bfloat16

    @Option(help: "Where to compute: auto, cpu, cuda or cuda:1.")
    var device: ComputeDevice = .auto

    @Option(help: "Tokens in each row; may be more than the model was made for.")
    var rows = 1024

    @Option(help: "Rows in a step, laid end to end; each sees only itself.")
    var batch = 1

    @Option(help: "The adapter's rank.")
    var rank = 16

    @Option(help: "Layers with an adapter: q, k, v and o projections, or the MLP's too.")
    var target: AdapterTarget = .attention

    @Option(help: "The loss: nll or dft.")
    var loss: LossKind = .nll

    @Option(help: "Optimizer steps.")
    var steps = 3

    @Option(
        help: """
            Keep only each block's input and compute the rest again: for all blocks (on), for none (off), or for as many \
            as memory asks for (auto).
            """)
    var checkpointing: CheckpointingChoice = .auto

    @Option(help: "Take no more than this (8GB, 700MiB); more is computed again where that helps.")
    var maxMemory: String?

    @Flag(help: "Print the memory plan and stop.")
    var planOnly = false

    @Option(
        help: """
            Plan for GPUs of this memory, which need not be here (8GB, or 24GiB,24GiB for two), as device_map: auto places \
            the blocks.
            """)
    var gpuMemory: CardMemory?

    @Option(help: "Use this many threads of the CPU (default: one a core).")
    var threads: Int?

    @Option(
        help:
            "Run only so many of the shape's layers; all figures are then those of the smaller model."
    )
    var layers: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Measure every operation, as osler train --profile does.")
    var profile = false

    enum AdapterTarget: String, ExpressibleByArgument, CaseIterable {
        case attention
        case allLinear = "all-linear"
        var targets: LoRAConfiguration.Targets {
            self == .allLinear ? .allLinear : .names(["q_proj", "k_proj", "v_proj", "o_proj"])
        }
    }

    enum CheckpointingChoice: String, ExpressibleByArgument, CaseIterable { case auto, on, off }

    /// Tokens of a step; far above what fits anywhere.
    private static let mostTokens = 1 << 22

    func validate() throws {
        let whole = shape.configuration
        guard randomWeights || planOnly else {
            throw ValidationError("a shape has no weights: add --random-weights")
        }
        guard planOnly || gpuMemory == nil else {
            throw ValidationError("--gpu-memory is for a plan: add --plan-only")
        }
        func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
            guard let value, !range.contains(value) else { return }
            throw ValidationError(
                "--\(name) is \(value), give a number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        try check("rows", rows, 8...Self.mostTokens)
        try check("batch", batch, 1...max(1, Self.mostTokens / max(rows, 1)))
        try check("rank", rank, 1...1024)
        try check("steps", steps, 1...1_000_000)
        try check("layers", layers, 1...whole.layers)
        try check("threads", threads, 1...1024)
        if let maxMemory, byteCount(maxMemory) == nil {
            throw ValidationError("--max-memory is \(maxMemory), write it like 700MB, 8GB or 6GiB")
        }
    }

    func run() throws {
        let console = Console(quiet: json)
        if let bytes = gpuMemory?.bytes { return try printPlan(ofCards: bytes, console) }
        let base = try device.backend(
            precision: dtype.precision, threads: threads, map: .whole, note: console.note)
        let profiler = profile || Profile.isWantedByEnvironment ? ProfilingBackend(base) : nil
        let plan = try memoryPlan(on: planned(.whole).devices(of: base))
        console.write("\(description), \(base.placeOfComputing)")
        if planOnly {
            return console.print(json ? plan.json.serialized(indent: 2) : plan.table)
        }
        console.write(plan.table)
        try plan.checkFits(
            limit: limit.map { ($0, "--max-memory") }, on: base,
            remedy: "lower --batch, --rows or --layers, or use --nf4 or --checkpointing auto")
        let begin = monotonicSeconds()
        let model = try console.step("Making the weights") {
            try CausalLM.random(
                configuration, backend: profiler ?? base, isQuantized: nf4, positions: rows,
                tokens: Set(batches.flatMap(\.ids)))
        }
        try model.attach(lora, seed: 1)
        let seconds = monotonicSeconds() - begin
        console.write("made the weights in \(seconds.fixed(1)) s")

        var result = BenchmarkResult(
            benchmark: self, parameters: configuration.parameterCount,
            trainableParameters: model.adapter?.parameterCount ?? 0, backend: base, plan: plan,
            secondsOfMaking: seconds, peakFlops: base.cpu?.measurePeakFlops() ?? 0)
        let finished = try train(model, plan) { event in
            switch event {
            case .started: profiler?.restart()
            case .step(let report):
                result.steps.append(report)
                console.write(report.line(of: steps))
                // Left out as its pace is.
                if report.step == 1, steps > 1 { profiler?.restart() }
            default: break
            }
        }
        result.profile = profiler?.profile
        try result.measure(base)
        console.print(json ? result.json.serialized(indent: 2) : result.text)
        if !finished { throw ExitCode(130) }
    }

    // MARK: What is run

    /// The shape, with as many layers as asked for.
    var configuration: ModelConfiguration {
        var configuration = shape.configuration
        configuration.layers = layers ?? configuration.layers
        return configuration
    }

    private var description: String {
        let whole = shape.configuration.layers
        let count = configuration.layers
        return "\(shape.rawValue), \(count == whole ? "" : "\(count) of ")\(whole) layers, "
            + "\(configuration.parameterCount.grouped) random parameters in \(nf4 ? "NF4" : "bfloat16"), "
            + "\(batch) x \(rows.grouped) tokens a step"
    }

    private var lora: LoRAConfiguration {
        var lora = LoRAConfiguration()
        (lora.rank, lora.alpha, lora.targets) = (rank, Double(rank), target.targets)
        return lora
    }

    private func options(_ checkpointing: Checkpointing) -> TrainingOptions {
        var options = TrainingOptions()
        (options.batchSize, options.maxSteps, options.loss) = (batch, steps, loss)
        options.checkpointing = checkpointing
        (options.learningRate, options.saveSteps) = (2e-4, nil)
        return options
    }

    /// Rows of random tokens, a step's worth; the first quarter of each is a prompt.
    private var trainRows: [SFTTrainer.Row] {
        var random = SplitMix64(state: 2)
        return (0..<batch).map { row in
            let ids = (0..<rows).map { _ in
                Int32(random.next() % UInt64(configuration.vocabularySize))
            }
            return [Example(ids: ids, lossMask: ids.indices.map { $0 >= rows / 4 }, row: row)]
        }
    }

    private var sequences: SequenceTable {
        SequenceTable(lengths: [Int](repeating: rows, count: batch))
    }

    private var limit: Int? { maxMemory.flatMap(byteCount) }

    private var batches: [TokenBatch] { [TokenBatch(MicroBatch(trainRows.joined()))] }

    private func planned(_ map: DeviceMap) -> PlannedRun {
        PlannedRun(
            model: configuration, precision: dtype.precision, sequences: [sequences],
            limit: limit, map: map, readsText: false)
    }

    private func memoryPlan(on devices: [PlannedDevice]) throws -> MemoryPlan {
        let batches = batches
        let fixed: Checkpointing? =
            switch checkpointing {
            case .on: .block
            case .off: Checkpointing.none
            case .auto: nil
            }
        return try PlacementChoice(
            blocks: configuration.layers, checkpointing: fixed, on: devices
        ) { checkpointing, placement in
            try MemoryPlan(
                model: configuration, quantization: nf4 ? .nf4(doubleQuantized: true) : .none,
                dense: .bfloat16,
                embeddingStaysInFile: devices[0].backend.usesHostMemory && !configuration.tiedHead,
                lora: lora, options: options(checkpointing), placement: placement,
                trainBatches: batches, evalBatches: [], positions: rows, on: devices)
        }.best()
    }

    private func printPlan(ofCards bytes: [Int], _ console: Console) throws {
        let cards = bytes.map(planned(.auto).card)
        let plan = try memoryPlan(on: cards)
        console.write(description)
        console.print(
            json ? plan.json.serialized(indent: 2) : plan.table(of: cards, bytes: bytes))
    }

    /// - Returns: false when it was stopped before the last step.
    private func train(
        _ model: CausalLM, _ plan: MemoryPlan, report: @escaping (TrainingEvent) -> Void
    ) throws -> Bool {
        let options = options(plan.checkpointing)
        let arena = try MemoryPlan.arenaBytes(
            configuration, lora: lora, options: options, trainBatches: batches, evalBatches: [],
            backend: model.backend)
        let trainer = try SFTTrainer(
            model: model, trainRows: trainRows, evalRows: [], options: options,
            arena: try Arena(backend: model.backend, byteCounts: arena.training), output: nil,
            report: report)
        let stop = StopSignal()
        defer { stop.end() }
        return try trainer.train(shouldStop: { stop.isRequested }) != nil
    }
}

extension ModelShape: ExpressibleByArgument {}
extension LossKind: ExpressibleByArgument {
    public static var allValueStrings: [String] { ["nll", "dft"] }
}
