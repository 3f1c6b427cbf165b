internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerInference
internal import OslerModels

struct DecodingTime: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Continues one sequence, greedily, by a model with random NF4 weights.",
        discussion: """
            Counted are the bytes that a token must read: the layers' weights, the head, and the keys and values so \
            far. Seconds are the whole program's, from token to token.
            """)

    @OptionGroup var card: CardArguments
    @Option(help: "Which model's sizes.") var shape: ModelShape = .r1DistillLlama
    @Option(help: "Tokens of the prompt.") var prompt = 128
    @Option(help: "Tokens to generate.") var tokens = 256

    func validate() throws {
        guard prompt > 0, tokens > 1, prompt + tokens <= shape.configuration.maxPositions else {
            throw ValidationError("more tokens than the model has positions, or none")
        }
    }

    func run() throws {
        let (backend, configuration) = (try card.backend(.bfloat16), shape.configuration)
        let model = try CausalLM.random(
            configuration, backend: backend, isQuantized: true, positions: prompt + tokens)
        let generator = try Generator(model, capacity: prompt + tokens)
        let ids = (0..<prompt).map { Int32($0 * 7919 % configuration.vocabularySize) }
        func generate() throws -> Double {
            generator.rewind(to: 0)
            _ = try generator.generate(
                ids, maxNewTokens: tokens, stop: [], sampling: .greedy)
            return generator.times.decoding / .seconds(1)
        }
        // The first run compiles kernels.
        _ = try generate()
        let seconds = try generate()
        let perSecond = Double(tokens - 1) / seconds
        let embedding = configuration.tiedHead ? 0 : model.embedding.byteCount
        let cached = KeyValueCache.byteCount(
            configuration, precision: backend.precision, sequences: 1,
            capacity: prompt + tokens / 2)
        report([
            "name": "decoding", "shape": .string(shape.rawValue), "prompt": .integer(prompt),
            "tokens": .integer(tokens), "tokens_per_second": .number(perSecond),
            "bytes_per_second": .number(
                Double(model.weightBytes - embedding + cached) * perSecond),
            "used_bytes": .integer(try backend.mostUsedBytes()),
        ])
    }
}

extension ModelShape: ExpressibleByArgument {}
