internal import OslerFormats

/// What one side made of an item, read from its raw outputs.
package struct ItemResult: Sendable {
    /// The first sample, or the log likelihoods.
    package var output = ""
    /// A letter, or the words of an open answer.
    package var answer: String?
    package var isCorrect = false
    package var isUnparsed = false
    /// Of the samples: how many there are, and how many hit the limit of tokens.
    package var samples = 1
    package var truncated = 0
    package var thinkingEnded = 0
    package var tokens = 0
    package var thinkingTokens = 0
    package var open: OpenAnswer?
    package var logLikelihoods: [Double]?
    package var isCorrectPerCharacter = false
    package var isCorrectPerByte = false
    package var demonstration: DemonstrationLoss?

    package init() {}
}

/// Negative log likelihoods of a demonstration's parts, in nats.
package struct DemonstrationLoss: Sendable, Equatable {
    package var reasoning = 0.0
    package var reasoningTokens = 0
    package var response = 0.0
    package var responseTokens = 0

    package init() {}
}

extension EvaluationItem {
    /// - Returns: nil while outputs are missing.
    package func result(_ log: OutputLog, _ settings: EvaluationSettings) -> ItemResult? {
        var result: ItemResult?
        switch settings.method {
        case .generate:
            let records = (0..<settings.samples).compactMap {
                log.records[.init(self, OutputLog.Key.output, sample: $0)]
            }
            if records.count == settings.samples { result = generated(records) }
        case .loglikelihood:
            result = log.records[.init(self, OutputLog.Key.logLikelihoods)].flatMap {
                compared($0, settings.choices)
            }
        }
        result?.demonstration = demonstration(log)
        return result
    }

    private func generated(_ records: [JSON.Object]) -> ItemResult {
        var result = ItemResult()
        result.samples = records.count
        result.output = records[0]["output"]?.string ?? ""
        for record in records {
            result.tokens += record["tokens"]?.integer ?? 0
            result.thinkingTokens += record["thinking_tokens"]?.integer ?? 0
            if record["truncated"]?.bool == true { result.truncated += 1 }
            if record["thinking_ended"]?.bool == true { result.thinkingEnded += 1 }
        }
        func texts() -> [(text: String, isThinking: Bool)] {
            records.map {
                ($0["output"]?.string ?? "", $0["prompt_is_thinking"]?.bool ?? false)
            }
        }
        switch reference {
        case .choice(let options, let right):
            let parser = AnswerParser(options)
            let votes = texts().map { parser.parse($0.text, isThinking: $0.isThinking).option }
            let chosen = majority(votes)
            result.answer = chosen.map { options[$0].letter }
            result.isCorrect = chosen == right
            result.isUnparsed = chosen == nil
        case .open(let references):
            let answers = texts().map { OpenAnswer.extract($0.text, isThinking: $0.isThinking) }
            let words = majority(answers.map { $0.map(OpenAnswer.normalizedTokens) })
            let chosen = answers.first { $0.map(OpenAnswer.normalizedTokens) == words } ?? nil
            let scored = OpenAnswer(chosen ?? "", references: references)
            result.answer = chosen
            result.isUnparsed = chosen == nil
            result.isCorrect = scored.isMatch && chosen != nil
            result.open = scored
        }
        return result
    }

    private func compared(
        _ record: JSON.Object, _ choices: EvaluationSettings.Choices
    ) -> ItemResult? {
        guard case .choice(let options, let right) = reference,
            let values = record["loglikelihoods"]?.array?.compactMap(\.double),
            values.count == options.count
        else { return nil }
        let best = HarnessTokens.choices(
            logLikelihoods: values, texts: continuations(choices).continuations)
        var result = ItemResult()
        result.output = JSON.array(values.map { .number($0) }).serialized()
        result.logLikelihoods = values
        result.answer = options[best.sum].letter
        result.isCorrect = best.sum == right
        result.isCorrectPerCharacter = best.perCharacter == right
        result.isCorrectPerByte = best.perByte == right
        result.tokens = record["tokens"]?.integer ?? 0
        return result
    }

    private func demonstration(_ log: OutputLog) -> DemonstrationLoss? {
        guard let record = log.records[.init(self, OutputLog.Key.demonstration)],
            let reasoning = record["reasoning_nll"]?.double,
            let response = record["response_nll"]?.double
        else { return nil }
        var loss = DemonstrationLoss()
        (loss.reasoning, loss.response) = (reasoning, response)
        loss.reasoningTokens = record["reasoning_tokens"]?.integer ?? 0
        loss.responseTokens = record["response_tokens"]?.integer ?? 0
        return loss
    }
}

/// The most frequent of the votes that say something; of equally frequent ones the first.
package func majority<Vote: Hashable>(_ votes: [Vote?]) -> Vote? {
    var counts: [Vote: Int] = [:]
    for case let vote? in votes { counts[vote, default: 0] += 1 }
    let most = counts.values.max()
    return votes.lazy.compactMap { $0 }.first { counts[$0] == most }
}
