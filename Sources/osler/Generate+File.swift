internal import OslerData
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

extension Generate {
    /// `--prompts`: answers in the order of the lines, each as soon as those before it are there.
    func answerFile(_ path: String) throws {
        let console = Console(quiet: false)
        let open = try modelArguments.open()
        // All lines are read and judged before the weights are loaded.
        let prompts = try readPrompts(path, open)
        let options = try sampling.options(for: open.files)
        let stop = try open.stopTokens()
        let longest = prompts.map(\.count).max() ?? 1
        let capacity = min(open.configuration.maxPositions, longest + sampling.maxNewTokens)
        let sequences = max(1, min(batchSize, prompts.count))
        let generator = try BatchGenerator(
            modelArguments.load(
                open.files, positions: capacity, sequences: sequences, console),
            sequences: sequences, capacity: capacity)
        let requests = prompts.enumerated().map { index, ids in
            var own = options
            own.seed &+= UInt64(index)
            return BatchGenerator.Request(
                prompt: ids, maxNewTokens: sampling.maxNewTokens, sampling: own)
        }
        try Output.run { output in
            var waiting: [Int: Generator.Output] = [:]
            var next = 0
            try generator.generate(requests, stop: stop) { index, answer in
                waiting[index] = answer
                while let answer = waiting.removeValue(forKey: next) {
                    let fields = answer.fields(prompt: prompts[next], open.context.tokenizer)
                    try output.line(.object(JSON.Object(fields)))
                    try output.flush()
                    next += 1
                }
            }
        }
        console.note(Self.summary(generator.work, answers: prompts.count))
    }

    private func readPrompts(_ path: String, _ open: OpenModel) throws -> [[Int32]] {
        let lines = try InputLines(path == "-" ? nil : path)
        var prompts: [[Int32]] = []
        while let (line, object) = try lines.next() {
            do {
                let ids: [Int32]
                if let messages = object["messages"] {
                    guard let list = messages.array else {
                        throw InputError("is not a list", field: "messages")
                    }
                    guard !raw else {
                        throw InputError(
                            "needs the chat template, --raw is without", field: "messages")
                    }
                    ids = try promptIDs(list, open)
                } else if let prompt = object["prompt"]?.string {
                    ids = try promptIDs(prompt, open)
                } else {
                    throw InputError("neither \"prompt\" (a text) nor \"messages\" here")
                }
                guard ids.count < open.configuration.maxPositions else { throw tooLong(ids, open) }
                prompts.append(ids)
            } catch let error as InputError where error.file != lines.name {
                throw error.at(line, of: lines.name)
            }
        }
        guard !prompts.isEmpty else { throw InputError("has no prompts", file: lines.name) }
        return prompts
    }

    /// `16 answers: 4096 prompt tokens in 0.812 s, 2032 tokens in 1.930 s (1052.8 tokens/s)`
    private static func summary(_ work: BatchGenerator.Work, answers: Int) -> String {
        let (prompt, decoding) = (work.promptTime.inSeconds, work.decodingTime.inSeconds)
        return "\(answers) answers: \(work.promptTokens) prompt tokens in \(prompt.fixed(3)) s, "
            + "\(work.decodedTokens) tokens in \(decoding.fixed(3)) s "
            + "(\((Double(work.decodedTokens) / max(decoding, 1e-9)).fixed(1)) tokens/s)"
    }
}
