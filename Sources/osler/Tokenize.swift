internal import ArgumentParser
internal import OslerFormats
internal import OslerTokenizers

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turns texts into token ids, or back.",
        discussion: """
            Reads JSON lines {"text": "..."} and writes {"ids": [...]} for each; with --decode the other way round.

            echo '{"text": "a heart rate of 72"}' | osler tokenize --model MODEL
            osler tokenize --model MODEL --add-special-tokens texts.jsonl > ids.jsonl
            osler tokenize --model MODEL --decode ids.jsonl
            """)

    @Option(
        name: .shortAndLong, help: "A Hugging Face folder, a .gguf file, or org/name on the hub.")
    var model: String

    @Flag(help: "Add what the tokenizer puts around a text: BOS, where it has one.")
    var addSpecialTokens = false

    @Flag(help: "Read {\"ids\": [...]} and write {\"text\": \"...\"}.")
    var decode = false

    @Flag(help: "With --decode: leave special tokens out of the text.")
    var skipSpecialTokens = false

    @OptionGroup var input: InputArguments

    func run() throws {
        let tokenizer = try Tokenizer.load(HubFiles(Console(quiet: false)).path(model, .tokenizer))
        let lines = try input.open()
        try Output.run { output in
            while let (line, object) = try lines.next() {
                if decode {
                    try write(text(object, line, lines, tokenizer), output)
                } else {
                    try write(ids(object, line, lines, tokenizer), output)
                }
                if !lines.isReady { try output.flush() }
            }
        }
    }

    private func ids(
        _ object: JSON.Object, _ line: Int, _ lines: InputLines, _ tokenizer: Tokenizer
    ) throws -> [Int32] {
        guard let text = object["text"]?.string else {
            throw lines.fault(line, "no \"text\" here", remedy: "give {\"text\": \"...\"}")
        }
        return tokenizer.encode(text, addSpecialTokens: addSpecialTokens)
    }

    private func text(
        _ object: JSON.Object, _ line: Int, _ lines: InputLines, _ tokenizer: Tokenizer
    ) throws -> String {
        let ids = try object.ids("ids", below: tokenizer.vocabularySize) { lines.fault(line, $0) }
        guard let ids else {
            throw lines.fault(line, "no \"ids\" here", remedy: "give {\"ids\": [...]}")
        }
        return tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens)
    }

    private func write(_ text: String, _ output: Output) throws {
        try output.line(["text": .string(text)])
    }

    private func write(_ ids: [Int32], _ output: Output) throws {
        try output.line("ids", ids)
    }
}
