internal import ArgumentParser
internal import OslerData
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Gives the log probability of each token of texts.",
        discussion: """
            Reads JSON lines {"ids": [...]}, {"messages": [...]} or {"prompt": ..., "completion": ...} (texts or \
            messages) and writes {"ids": [...], "logprobs": [...]} for each: the natural logarithm of the probability \
            of each token after the first, given those before it. Messages that end with an assistant's become the \
            same tokens as in training; texts are taken as they are, a BOS put in front where the tokenizer has one.

            echo '{"prompt": "The normal heart rate is", "completion": " 72"}' | osler score --model MODEL
            osler score --model MODEL --adapter ADAPTER --dtype float32 chats.jsonl > scores.jsonl
            """)

    @OptionGroup var modelArguments: ModelArguments
    @OptionGroup var input: InputArguments

    /// Lines are scored together up to this many tokens.
    private static let batchTokens = 1024

    func run() throws {
        let open = try ScoredModel(modelArguments)
        let lines = try input.open()
        let model = try modelArguments.load(open.files, positions: 2048, Console(quiet: false))
        let scorer = SequenceScorer(model)
        try Output.run { output in
            while let first = try lines.next() {
                var batch = [try ids(first, lines, open)]
                // An error in a later line must not take back the answers to those before it.
                var failure: (any Error)?
                while batch.joined().count < Self.batchTokens, lines.isReady, failure == nil {
                    do {
                        guard let line = try lines.next() else { break }
                        batch.append(try ids(line, lines, open))
                    } catch {
                        failure = error
                    }
                }
                for (ids, values) in zip(batch, try scorer.score(batch)) {
                    try output.line([
                        "ids": .array(ids.map { .integer(Int($0)) }),
                        "logprobs": .array(values.map { .number(Double($0)) }),
                    ])
                }
                if let failure { throw failure }
                if !lines.isReady { try output.flush() }
            }
        }
    }

    private func ids(
        _ line: (line: Int, object: JSON.Object), _ lines: InputLines, _ open: ScoredModel
    ) throws -> [Int32] {
        let object = line.object
        let size = open.configuration.vocabularySize
        do {
            let given = try object.ids("ids", below: size) { lines.fault(line.line, $0) }
            let ids = try given ?? chat(object, open) ?? texts(object, open)
            guard let ids else {
                throw InputError(
                    "neither \"ids\", \"messages\" nor \"prompt\" with \"completion\" here")
            }
            let positions = open.configuration.maxPositions
            guard ids.count <= positions else {
                throw InputError("\(ids.count) tokens, the model has \(positions) positions")
            }
            return ids
        } catch let error as InputError where error.file != lines.name {
            throw error.at(line.line, of: lines.name)
        }
    }

    /// Messages by the rules of training, or, where no assistant speaks last, as the template renders them.
    private func chat(_ object: JSON.Object, _ open: ScoredModel) throws -> [Int32]? {
        guard let messages = try messages(object) else { return nil }
        let context = try open.context
        guard messages.last?["role"]?.string == "assistant" else {
            return context.tokenizer.encode(try context.render(messages).text)
        }
        var configuration = DataConfiguration()
        configuration.maxLength = nil
        configuration.threads = 1
        let row = JSON.Object([("messages", .array(messages))])
        return try DataPreparation(context, configuration).prepare(
            Dataset(file: "", rows: [row])
        ).examples.first?.ids
    }

    private func messages(_ object: JSON.Object) throws -> [JSON]? {
        if let messages = object["messages"] {
            guard let list = messages.array else { throw InputError("\"messages\" is not a list") }
            return list
        }
        guard let prompt = object["prompt"]?.array, let completion = object["completion"]?.array
        else { return nil }
        return prompt + completion
    }

    private func texts(_ object: JSON.Object, _ open: ScoredModel) throws -> [Int32]? {
        guard let prompt = object["prompt"]?.string, let completion = object["completion"]?.string
        else { return nil }
        let tokenizer = try open.context.tokenizer
        var ids = tokenizer.encode(prompt)
        if let bos = tokenizer.bosToken, ids.first != bos.id,
            tokenizer.encode("", addSpecialTokens: true).first == bos.id
        {
            ids.insert(bos.id, at: 0)
        }
        return ids + tokenizer.encode(completion)
    }
}

/// A model's description; its tokenizer is read when a line needs it, so that ids alone need none.
private final class ScoredModel {
    let files: ModelFiles
    var configuration: ModelConfiguration { files.configuration }
    private let arguments: ModelArguments
    private var opened: ChatContext?

    init(_ arguments: ModelArguments) throws {
        (self.arguments, files) = (arguments, try arguments.modelFiles())
    }

    var context: ChatContext {
        get throws {
            let context = try opened ?? arguments.context(files)
            opened = context
            return context
        }
    }
}
