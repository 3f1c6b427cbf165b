internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerModels
internal import OslerTraining

/// What `osler bench train` found.
struct BenchmarkResult {
    let benchmark: BenchTrain
    let parameters: Int
    let trainableParameters: Int
    let backend: any Backend
    let plan: MemoryPlan
    let secondsOfMaking: Double
    var peakFlops: Double
    /// Bytes a second: a CPU's reading, a card's copying (read and written).
    var bandwidth = Double.nan
    var peakBytes = 0
    /// Of a card, all that was taken when this process held the most: its context and other programs too.
    var cardBytes: Int?
    var steps: [StepReport] = []
    var profile: Profile?

    /// Memory at its most, then what the machine does at best: just after training, as warm as it was then.
    mutating func measure(_ backend: any Backend) throws {
        peakBytes = backend.mostHeldBytes
        if let card = backend.cards.first {
            cardBytes = try card.mostUsedBytes()
            peakFlops = try card.measurePeakFlops()
            bandwidth = try card.measureBandwidth()
        } else if let cpu = backend.cpu {
            peakFlops = max(peakFlops, cpu.measurePeakFlops())
            bandwidth = cpu.measureReadBandwidth()
        }
    }

    /// The steps that count: all but the first where there are more.
    private var timed: ArraySlice<StepReport> { steps.count > 1 ? steps.dropFirst() : steps[...] }
    private var tokens: Int { timed.reduce(0) { $0 + $1.tokens } }
    private var seconds: Double { timed.reduce(0) { $0 + $1.seconds } }
    private var needed: TrainingFlops.Needed {
        timed.map(\.needed).reduce(TrainingFlops.Needed(), +)
    }

    private var tokensPerSecond: Double { Double(tokens) / seconds }
    private var secondsPerStep: Double { seconds / Double(timed.count) }
    private var flopsPerSecond: Double { Double(needed.total) / seconds }
    private func gigaflopsPerToken(_ flops: Int) -> Double { Double(flops) / Double(tokens) / 1e9 }

    var text: String {
        let parts = [
            ("linear", needed.linear), ("head", needed.head), ("attention", needed.attention),
            ("LoRA", needed.lora),
        ].map { "\($0) \(gigaflopsPerToken($1).fixed(3))" }
        let (rate, peak) = (flopsPerSecond / 1e9, peakFlops / 1e9)
        let lines = [
            "\(tokensPerSecond.fixed(1)) tokens/s, \(secondsPerStep.fixed(2)) s a step",
            "needed: \(gigaflopsPerToken(needed.total).fixed(3)) GFLOP a token "
                + "(\(parts.joined(separator: ", ")))",
            "speed: \(rate.fixed(1)) GFLOP/s of needed work, \((rate / peak * 100).fixed(1)) % of "
                + "this machine's \(peak.fixed(1)); it \(cardBytes == nil ? "reads" : "copies at") "
                + "\((bandwidth / 1e9).fixed(1)) GB/s",
            "memory: planned \(plan.total.mebibytes), peak measured \(peakBytes.mebibytes)"
                + (cardBytes.map { ", \($0.mebibytes) of the card taken in all" } ?? ""),
        ]
        return (lines + [profile?.table].compactMap { $0 }).joined(separator: "\n")
    }

    var json: JSON {
        var object = settings
        object["steps"] = .array(
            steps.map { step in
                .object([
                    "step": .integer(step.step), "loss": .number(step.loss),
                    "grad_norm": step.gradientNorm.map(JSON.number) ?? .null,
                    "tokens": .integer(step.tokens), "seconds": .number(step.seconds),
                    "needed_gflop": .number(Double(step.needed.total) / 1e9),
                ])
            })
        object["tokens_per_second"] = .number(tokensPerSecond)
        object["seconds_per_step"] = .number(secondsPerStep)
        object["needed_gflop_per_token"] = .object([
            "linear": .number(gigaflopsPerToken(needed.linear)),
            "head": .number(gigaflopsPerToken(needed.head)),
            "attention": .number(gigaflopsPerToken(needed.attention)),
            "lora": .number(gigaflopsPerToken(needed.lora)),
            "total": .number(gigaflopsPerToken(needed.total)),
        ])
        object["needed_formula"] = .string(TrainingFlops.formula)
        object["gflops_per_second"] = .number(flopsPerSecond / 1e9)
        object["peak_gflops_per_second"] = .number(peakFlops / 1e9)
        object["share_of_peak"] = .number(flopsPerSecond / peakFlops)
        let measured = cardBytes == nil ? "read" : "copy"
        object["\(measured)_gigabytes_per_second"] = .number(bandwidth / 1e9)
        object["planned_bytes"] = .integer(plan.total)
        object["plan"] = plan.json
        object["peak_bytes"] = .integer(peakBytes)
        if let cardBytes { object["card_bytes"] = .integer(cardBytes) }
        object["weights_seconds"] = .number(secondsOfMaking)
        if let profile { object["profile"] = profile.json }
        return .object(object)
    }

    private var settings: JSON.Object {
        var settings: JSON.Object = [
            "shape": .string(benchmark.shape.rawValue),
            "layers": .integer(benchmark.configuration.layers),
            "shape_layers": .integer(benchmark.shape.configuration.layers),
            "parameters": .integer(parameters),
            "trainable_parameters": .integer(trainableParameters),
            "weights": .string(benchmark.nf4 ? "nf4" : "bf16"),
            "dtype": .string(benchmark.dtype.rawValue), "isa": .string(backend.name),
            "row_tokens": .integer(benchmark.rows),
            "batch": .integer(benchmark.batch), "rank": .integer(benchmark.rank),
            "target": .string(benchmark.target.rawValue),
            "loss": .string(benchmark.loss.rawValue),
            "checkpointing": .string(benchmark.checkpointing.rawValue),
        ]
        if let cpu = backend.cpu { settings["threads"] = .integer(cpu.pool.threads) }
        if let card = backend.cards.first?.card { settings["card"] = .string(card.name) }
        return settings
    }
}

extension StepReport {
    /// `step 2/3  loss 10.8123  8.21 s  124.7 tok/s`
    func line(of total: Int) -> String {
        "step \(step)/\(total)  loss \(loss.fixed(4))  \(seconds.fixed(2)) s  "
            + "\((Double(tokens) / seconds).fixed(1)) tok/s"
    }
}
