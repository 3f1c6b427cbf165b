internal import ArgumentParser
internal import OslerFormats
internal import OslerInference
internal import OslerModels

/// How answers are drawn. What is not given is taken from the model's `generation_config.json`, else it is greedy.
struct SamplingArguments: ParsableArguments {
    @Option(help: "The most tokens of an answer.")
    var maxNewTokens = 1024

    @Flag(help: "Always the most probable token.")
    var greedy = false

    @Option(help: "Divides the logits: below 1 bolder, above 1 more varied.")
    var temperature: Double?

    @Option(help: "Draw from the smallest set of tokens whose probability reaches this.")
    var topP: Double?

    @Option(help: "Draw from this many of the most probable tokens.")
    var topK: Int?

    @Option(help: "Seed of the draws: the same seed gives the same answer.")
    var seed: UInt64 = 0

    func validate() throws {
        guard (1...Int(Int32.max)).contains(maxNewTokens) else {
            throw ValidationError(
                "--max-new-tokens is \(maxNewTokens), give a number from 1 to \(Int32.max)")
        }
        if greedy, temperature != nil || topP != nil || topK != nil {
            throw ValidationError(
                "--greedy draws nothing: leave --temperature, --top-p, --top-k out")
        }
        if let temperature, !(temperature > 0 && temperature <= 100) {
            throw ValidationError(
                "--temperature is \(temperature), give a number above 0 (or --greedy)")
        }
        if let topP, !(topP > 0 && topP <= 1) {
            throw ValidationError("--top-p is \(topP), give a number above 0 and at most 1")
        }
        if let topK, topK < 1 {
            throw ValidationError("--top-k is \(topK), give at least 1")
        }
    }

    func options(for model: ModelFiles) throws -> SamplingOptions {
        var options = SamplingOptions.greedy
        options.seed = seed
        let json = try model.generationConfiguration
        let draws =
            json["do_sample"]?.bool == true || temperature != nil || topP != nil || topK != nil
        guard draws, !greedy else { return options }
        func given(_ key: String, _ isAllowed: (Double) -> Bool, _ expected: String) throws
            -> Double?
        {
            guard let value = json[key], !value.isNull else { return nil }
            guard let number = value.double, isAllowed(number) else {
                throw InputError(
                    "not \(expected)", file: model.generationConfigurationFile, field: key,
                    remedy: "give --\(key.replacing("_", with: "-")), or --greedy")
            }
            return number
        }
        options.temperature =
            try temperature
            ?? given("temperature", { $0 > 0 && $0 <= 100 }, "a number above 0 and at most 100")
            ?? 1
        options.topP =
            try topP
            ?? given("top_p", { $0 > 0 && $0 <= 1 }, "a number above 0 and at most 1") ?? 1
        let count =
            try topK
            ?? given(
                "top_k", { (0...1e9).contains($0) }, "a number from 0 to 1000000000"
            ).map { Int($0) }
        options.topK = count == 0 ? nil : count
        return options
    }
}

extension ModelFiles {
    var generationConfigurationFile: String {
        FileSystem.join(path, "generation_config.json")
    }

    /// `generation_config.json`; null where there is none.
    var generationConfiguration: JSON {
        get throws {
            let file = generationConfigurationFile
            return FileSystem.isFile(file) ? try JSON.parse(file: file) : .null
        }
    }
}
