internal import ArgumentParser
internal import OslerData
internal import OslerFormats
internal import OslerTokenizers

struct Render: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Renders chats with a model's chat template.",
        discussion: """
            Reads JSON lines {"messages": [...]} and writes {"text": "..."} for each.

            echo '{"messages": [{"role": "user", "content": "Hello"}]}' | \
            osler render --model MODEL --add-generation-prompt
            osler render --model MODEL --training chats.jsonl
            """)

    @Option(
        name: .shortAndLong, help: "A Hugging Face folder, a .gguf file, or org/name on the hub.")
    var model: String

    @Flag(help: "End with the beginning of an assistant turn.")
    var addGenerationPrompt = false

    @Flag(
        help: """
            Use the template that keeps the assistant's whole text, for families whose own drops a part of it \
            (DeepSeek-R1).
            """)
    var training = false

    @OptionGroup var input: InputArguments

    func run() throws {
        let folder = try HubFiles(Console(quiet: false)).path(model, .tokenizer)
        let context = try ChatContext(tokenizer: Tokenizer.load(folder))
        let template = training ? try trainingTemplate(context) : nil
        let lines = try input.open()
        try Output.run { output in
            while let (line, object) = try lines.next() {
                guard let messages = object["messages"]?.array else {
                    throw lines.fault(
                        line, "no \"messages\" here", remedy: "give {\"messages\": [...]}")
                }
                do {
                    let rendered = try context.render(
                        messages, addGenerationPrompt: addGenerationPrompt, with: template)
                    try output.line(["text": .string(rendered.text)])
                } catch let error as InputError {
                    throw error.at(line, of: lines.name)
                }
                if !lines.isReady { try output.flush() }
            }
        }
    }

    private func trainingTemplate(_ context: ChatContext) throws -> ChatTemplate? {
        guard let source = context.template?.source,
            let safe = TrainingTemplates.safeTemplate(for: source)
        else { return nil }
        Console(quiet: false).note(safe.note)
        return safe.template
    }
}

extension InputError {
    /// The error with the line of input that led to it.
    func at(_ line: Int, of name: String) -> InputError {
        var error = self
        error.field = ["line \(line)", file, field].compactMap { $0 }.joined(separator: ": ")
        error.file = name
        return error
    }
}
