internal import OslerData
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

extension ModelEvaluator {
    /// A prompt as the model gets it.
    struct Prompt {
        var ids: [Int32]
        /// It ends inside the reasoning.
        var isThinking: Bool
    }

    func prompt(_ item: EvaluationItem) throws -> Prompt {
        let text = try chat.render(
            item.messages(systemPrompt: settings.systemPrompt), addGenerationPrompt: true
        ).text
        let ids = chat.tokenizer.encode(text)
        let positions = model.configuration.maxPositions
        guard ids.count < positions else {
            throw InputError(
                "item \(item.id) has \(ids.count) tokens, the model \(positions) positions",
                field: item.task, remedy: "leave it out")
        }
        return Prompt(ids: ids, isThinking: ThinkingText(after: text).isThinking)
    }

    func generate(
        _ items: [EvaluationItem], _ usesAdapters: Bool, _ log: OutputLog
    ) throws -> Bool {
        var (requests, keys, states): ([BatchGenerator.Request], [OutputLog.Key], [AnswerState]) =
            ([], [], [])
        for (index, item) in items.enumerated() {
            let prompt = try prompt(item)
            for sample in 0..<settings.samples {
                let key = OutputLog.Key(item, OutputLog.Key.output, sample: sample)
                guard log.records[key] == nil else { continue }
                var sampling = settings.sampling
                sampling.seed &+= UInt64(index * settings.samples + sample)
                requests.append(
                    .init(
                        prompt: prompt.ids, maxNewTokens: settings.maxNewTokens, sampling: sampling)
                )
                keys.append(key)
                states.append(AnswerState(chat.tokenizer, isThinking: prompt.isThinking))
            }
        }
        guard !requests.isEmpty else { return true }
        let longest = requests.map(\.prompt.count).max() ?? 1
        let capacity = min(model.configuration.maxPositions, longest + settings.maxNewTokens)
        try model.reservePositions(capacity)
        let generator = try BatchGenerator(
            model, sequences: min(settings.batchSize, requests.count), capacity: capacity,
            usesAdapters: usesAdapters)
        generator.shouldStop = shouldStop
        let close = chat.tokenizer.encode("\n</think>\n\n")
        let budget = settings.thinkingBudget
        generator.steer = { index, id in
            states[index].push(id)
            guard let budget, states[index].isThinking, states[index].thinkingTokens >= budget,
                !states[index].isEnded
            else { return [] }
            states[index].isEnded = true
            return close
        }
        let total = items.count * settings.samples
        var meter = Meter(total: total, doneBefore: total - requests.count)
        generator.onStep = { [onProgress] in
            onProgress(meter.progress(tokens: $0.decodedTokens))
        }
        return try generator.generate(requests, stop: stop) { index, answer in
            meter.finish(1)
            if let last = answer.ids.last, !answer.stopped { states[index].push(last) }
            var record = keys[index].fields
            let text = answer.stopped ? answer.ids.dropLast() : answer.ids[...]
            record["output"] = .string(
                chat.tokenizer.decode(Array(text)))
            record["prompt_is_thinking"] = .bool(states[index].startsThinking)
            record["tokens"] = .integer(answer.ids.count)
            record["thinking_tokens"] = .integer(states[index].thinkingTokens)
            record["thinking_ended"] = .bool(states[index].isEnded)
            record["truncated"] = .bool(!answer.stopped)
            try log.append(record)
            onProgress(meter.progress(tokens: generator.work.decodedTokens))
        }
    }
}

/// Where an answer that grows stands: in the reasoning or behind it.
private struct AnswerState {
    private var decoder: StreamingDecoder
    private var thinking = ThinkingText()
    let startsThinking: Bool
    private(set) var thinkingTokens = 0
    /// The budget was used up.
    var isEnded = false

    init(_ tokenizer: Tokenizer, isThinking: Bool) {
        decoder = StreamingDecoder(tokenizer)
        startsThinking = isThinking
        if isThinking { _ = thinking.push("<think>") }
    }

    var isThinking: Bool { thinking.isThinking }

    mutating func push(_ id: Int32) {
        let text = decoder.push(id)
        if !text.isEmpty { _ = thinking.push(text) }
        if thinking.isThinking { thinkingTokens += 1 }
    }
}
