internal import ArgumentParser
internal import OslerData
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answers a prompt, or a file of them at once.",
        discussion: """
            The prompt is put into the model's chat template. Only the answer goes to standard output, as it comes.
            A file has JSON lines {"prompt": "..."} or {"messages": [...]}; each gets one JSON line, in the same order. \
            The answers are those that each prompt gets alone (with --seed counted on from line to line).

            osler generate --model MODEL --prompt "What causes a deep y descent?"
            osler generate --model MODEL --adapter ADAPTER --prompt "..." --temperature 0.6 --top-p 0.95 --seed 1
            osler generate --model MODEL --prompt "..." --greedy --max-new-tokens 200 --json
            osler generate --model MODEL --prompts questions.jsonl --batch-size 16 --greedy > answers.jsonl
            """)

    @OptionGroup var modelArguments: ModelArguments

    @Option(name: .shortAndLong, help: "What the user says.")
    var prompt: String?

    @Option(help: "Answer every line of this file of JSON lines.")
    var prompts: String?

    @Option(help: "Continue this many of the file's prompts at once.")
    var batchSize = 16

    @Option(help: "A system message before it.")
    var system: String?

    @Flag(help: "Give the prompt to the model as it is, without the chat template.")
    var raw = false

    @OptionGroup var sampling: SamplingArguments

    @Flag(
        help: """
            Print {"text", "ids", "logprobs", "prompt_ids", "stopped", "prompt_seconds", "decode_seconds"} at the end \
            instead.
            """
    )
    var json = false

    func validate() throws {
        guard (prompt == nil) != (prompts == nil) else {
            throw ValidationError("give either --prompt or --prompts")
        }
        if raw, system != nil {
            throw ValidationError("--system needs the chat template, --raw is without")
        }
        guard (1...1024).contains(batchSize) else {
            throw ValidationError("--batch-size is \(batchSize), give a number from 1 to 1024")
        }
    }

    func run() throws {
        if let prompts { return try answerFile(prompts) }
        guard let prompt else { return }
        let console = Console(quiet: false)
        let open = try modelArguments.open()
        let ids = try promptIDs(prompt, open)
        let capacity = min(open.configuration.maxPositions, ids.count + sampling.maxNewTokens)
        guard ids.count < capacity else { throw tooLong(ids, open) }
        let options = try sampling.options(for: open.files)
        let stop = try open.stopTokens()
        let generator = try Generator(
            modelArguments.load(open.files, positions: capacity, console), capacity: capacity)
        try Output.run { output in
            var decoder = StreamingDecoder(open.context.tokenizer, skipSpecialTokens: true)
            let answer = try generator.generate(
                ids, maxNewTokens: sampling.maxNewTokens, stop: stop, sampling: options
            ) { id in
                guard !json else { return true }
                let text = decoder.push(id)
                if !text.isEmpty {
                    try output.write(text)
                    try output.flush()
                }
                return true
            }
            if json {
                let times: [(String, JSON)] = [
                    ("prompt_seconds", .number(generator.times.prompt.inSeconds)),
                    ("decode_seconds", .number(generator.times.decoding.inSeconds)),
                ]
                let fields = answer.fields(prompt: ids, open.context.tokenizer) + times
                try output.line(.object(JSON.Object(fields)))
            } else {
                try output.line(decoder.finish())
            }
        }
    }

    func promptIDs(_ prompt: String, _ open: OpenModel) throws -> [Int32] {
        guard !raw else {
            return try checked(open.context.tokenizer.encode(prompt, addSpecialTokens: true))
        }
        var messages: [JSON] = [["role": "user", "content": .string(prompt)]]
        if let system {
            messages.insert(["role": "system", "content": .string(system)], at: 0)
        }
        return try promptIDs(messages, open)
    }

    func promptIDs(_ messages: [JSON], _ open: OpenModel) throws -> [Int32] {
        try checked(
            open.context.tokenizer.encode(
                try open.context.render(messages, addGenerationPrompt: true).text))
    }

    private func checked(_ ids: [Int32]) throws -> [Int32] {
        guard !ids.isEmpty else { throw InputError("is empty", field: "prompt") }
        return ids
    }

    func tooLong(_ ids: [Int32], _ open: OpenModel) -> InputError {
        InputError(
            "the prompt has \(ids.count) tokens, the model \(open.configuration.maxPositions) positions",
            field: "prompt", remedy: "give a shorter prompt")
    }
}

extension Generator.Output {
    /// What `--json` says of an answer.
    func fields(prompt: [Int32], _ tokenizer: Tokenizer) -> [(String, JSON)] {
        let text = stopped ? ids.dropLast() : ids[...]
        return [
            ("text", .string(tokenizer.decode(Array(text), skipSpecialTokens: true))),
            ("ids", .array(ids.map { .integer(Int($0)) })),
            ("logprobs", .array(logProbabilities.map { .number(Double($0)) })),
            ("prompt_ids", .array(prompt.map { .integer(Int($0)) })),
            ("stopped", .bool(stopped)),
        ]
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + 1e-18 * Double(components.attoseconds) }
}
