internal import ArgumentParser
internal import OslerData
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answers one prompt.",
        discussion: """
            The prompt is put into the model's chat template. Only the answer goes to standard output, as it comes.

            osler generate --model MODEL --prompt "What causes a deep y descent?"
            osler generate --model MODEL --adapter ADAPTER --prompt "..." --temperature 0.6 --top-p 0.95 --seed 1
            osler generate --model MODEL --prompt "..." --greedy --max-new-tokens 200 --json
            """)

    @OptionGroup var modelArguments: ModelArguments

    @Option(name: .shortAndLong, help: "What the user says.")
    var prompt: String

    @Option(help: "A system message before it.")
    var system: String?

    @Flag(help: "Give the prompt to the model as it is, without the chat template.")
    var raw = false

    @OptionGroup var sampling: SamplingArguments

    @Flag(
        help:
            "Print {\"text\", \"ids\", \"logprobs\", \"prompt_ids\", \"stopped\"} at the end instead."
    )
    var json = false

    func validate() throws {
        if raw, system != nil {
            throw ValidationError("--system needs the chat template, --raw is without")
        }
    }

    func run() throws {
        let console = Console(quiet: false)
        let open = try modelArguments.open()
        let ids = try promptIDs(open)
        let capacity = min(open.configuration.maxPositions, ids.count + sampling.maxNewTokens)
        guard ids.count < capacity else {
            throw InputError(
                "the prompt has \(ids.count) tokens, the model \(open.configuration.maxPositions) positions",
                field: "--prompt", remedy: "give a shorter prompt")
        }
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
                try output.line(description(answer, ids, open.context.tokenizer))
            } else {
                try output.line(decoder.finish())
            }
        }
    }

    private func promptIDs(_ open: OpenModel) throws -> [Int32] {
        let tokenizer = open.context.tokenizer
        let ids: [Int32]
        if raw {
            ids = tokenizer.encode(prompt, addSpecialTokens: true)
        } else {
            var messages: [JSON] = [["role": "user", "content": .string(prompt)]]
            if let system {
                messages.insert(["role": "system", "content": .string(system)], at: 0)
            }
            ids = tokenizer.encode(
                try open.context.render(messages, addGenerationPrompt: true).text)
        }
        guard !ids.isEmpty else { throw InputError("is empty", field: "--prompt") }
        return ids
    }

    private func description(
        _ answer: Generator.Output, _ prompt: [Int32], _ tokenizer: Tokenizer
    ) -> JSON {
        let text = answer.stopped ? answer.ids.dropLast() : answer.ids[...]
        return [
            "text": .string(tokenizer.decode(Array(text), skipSpecialTokens: true)),
            "ids": .array(answer.ids.map { .integer(Int($0)) }),
            "logprobs": .array(answer.logProbabilities.map { .number(Double($0)) }),
            "prompt_ids": .array(prompt.map { .integer(Int($0)) }),
            "stopped": .bool(answer.stopped),
        ]
    }
}
