internal import ArgumentParser
internal import OslerData
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

struct Chat: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Talks with a model.",
        discussion: """
            One line is one message; pasted text is one, too, with its line ends. /clear begins a new conversation, \
            /exit, Ctrl-D or Ctrl-C ends; while an answer comes, Ctrl-C stops only that. Reasoning between <think> and \
            </think> is dimmed on a terminal.

            osler chat --model MODEL
            osler chat --model MODEL --adapter ADAPTER --system "Answer briefly." --temperature 0.6 --top-p 0.95
            """)

    @OptionGroup var modelArguments: ModelArguments

    @Option(help: "A system message that begins the conversation.")
    var system: String?

    @Option(help: "The most tokens of the whole conversation.")
    var context = 4096

    @OptionGroup var sampling: SamplingArguments

    func validate() throws {
        guard context >= 2 else {
            throw ValidationError("--context is \(context), give at least 2")
        }
    }

    func run() throws {
        let console = Console(quiet: false)
        let open = try modelArguments.open()
        let capacity = min(context, open.configuration.maxPositions)
        // Refused before the weights are loaded if there is no chat template.
        _ = try open.context.render(opening + [["role": "user", "content": "hello"]])
        let generator = try Generator(
            modelArguments.load(open.files, positions: capacity, console), capacity: capacity)
        var conversation = Conversation(
            open: open, generator: generator, stop: try open.stopTokens(),
            sampling: try sampling.options(for: open.files),
            maxNewTokens: sampling.maxNewTokens, dims: console.usesColor, messages: opening)
        try Output.run { output in
            let editor = LineEditor(prompt: "> ", output: output)
            while let line = try message(editor, output) {
                switch line {
                case "": continue
                case "/exit": return
                case "/clear": conversation.messages = opening
                default: try conversation.answer(line, output, console)
                }
            }
        }
    }

    /// What the user says next, without white space around it; nil at the end.
    private func message(_ editor: LineEditor?, _ output: Output) throws -> String? {
        guard let editor else {
            try output.flush()
            return readLine()?.trimmed
        }
        let (text, event) = try editor.next()
        switch event {
        case .ended: return nil
        case .interrupted: throw ExitCode(130)
        case .submitted, .none: return text.trimmed
        }
    }

    private var opening: [JSON] {
        system.map { [["role": "system", "content": .string($0)]] } ?? []
    }
}

/// A conversation; keys and values of what stays the same from turn to turn are computed once.
private struct Conversation {
    let open: OpenModel
    let generator: Generator
    let stop: Set<Int32>
    var sampling: SamplingOptions
    let maxNewTokens: Int
    let dims: Bool
    var messages: [JSON]

    mutating func answer(_ text: String, _ output: Output, _ console: Console) throws {
        let interrupt = StopSignal()
        defer { interrupt.end() }
        generator.shouldStop = { interrupt.isRequested }
        messages.append(["role": "user", "content": .string(text)])
        let tokenizer = open.context.tokenizer
        let prompt = try open.context.render(messages, addGenerationPrompt: true).text
        let ids = tokenizer.encode(prompt)
        guard ids.count < generator.capacity else {
            messages.removeLast()
            console.note(
                "the conversation would fill the \(generator.capacity) tokens of its context; "
                    + "/clear begins a new one")
            return
        }
        var decoder = StreamingDecoder(tokenizer, skipSpecialTokens: true)
        // The template may have opened the tag; what the user wrote has no say in it.
        let asked = try open.context.render(messages).text
        let common = zip(prompt, asked).prefix { $0 == $1 }.count
        var thinking = ThinkingText(after: String(prompt.dropFirst(common)))
        var answer = ""
        func show(_ parts: [ThinkingText.Part]) throws {
            for part in parts {
                let isDimmed = part.isThinking && dims
                try output.write(isDimmed ? "\u{1B}[2m\(part.text)\u{1B}[0m" : part.text)
            }
            if !parts.isEmpty { try output.flush() }
        }
        let result = try generator.generate(
            ids, maxNewTokens: maxNewTokens, stop: stop, sampling: sampling
        ) { id in
            let text = decoder.push(id)
            answer += text
            try show(thinking.push(text))
            return true
        }
        let rest = decoder.finish()
        answer += rest
        try show(thinking.push(rest) + thinking.finish())
        try output.line("")
        try output.flush()
        if result.ids.isEmpty {
            // Stopped before it began: as if it had not been asked.
            messages.removeLast()
            return
        }
        if !result.stopped && !interrupt.isRequested { noteEnd(result.ids.count, console) }
        messages.append(["role": "assistant", "content": .string(answer)])
        // Another draw for the next answer.
        sampling.seed &+= 1
    }

    /// Says why an answer ends before its end.
    private func noteEnd(_ count: Int, _ console: Console) {
        console.note(
            count == maxNewTokens
                ? "the answer was cut at --max-new-tokens \(count)"
                : "the answer was cut: the \(generator.capacity) tokens of --context are full; "
                    + "/clear begins a new conversation")
    }
}
