internal import OslerData
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers

extension ModelEvaluator {
    /// Sequences are scored together up to this many tokens.
    private static let batchTokens = 2048

    func compareOptions(
        _ items: [EvaluationItem], _ usesAdapters: Bool, _ log: OutputLog
    ) throws -> Bool {
        let scorer = SequenceScorer(model, usesAdapters: usesAdapters)
        let kind = OutputLog.Key.logLikelihoods
        let left = items.filter { log.records[.init($0, kind)] == nil }
        var meter = Meter(total: items.count, doneBefore: items.count - left.count)
        var tokens = 0
        for item in left {
            if shouldStop() { return false }
            let (context, continuations) = item.continuations(settings.choices)
            let sequences = continuations.map {
                HarnessTokens(
                    context: context, continuation: $0, tokenizer: chat.tokenizer,
                    maxPositions: model.configuration.maxPositions)
            }
            guard sequences.allSatisfy({ $0.known > 0 && $0.known < $0.ids.count }) else {
                throw InputError(
                    "item \(item.id) has an option that is longer than the model's positions, or no text",
                    field: item.task, remedy: "leave it out")
            }
            let (sums, greedy) = try score(sequences, scorer)
            tokens += sequences.map(\.ids.count).reduce(0, +)
            var record = OutputLog.Key(item, kind).fields
            record["loglikelihoods"] = .array(sums.map { .number($0) })
            record["is_greedy"] = .array(greedy.map { .bool($0) })
            record["tokens"] = .integer(sequences.map { $0.ids.count - $0.known }.reduce(0, +))
            try log.append(record)
            meter.finish(1)
            onProgress(meter.progress(tokens: tokens))
        }
        return true
    }

    /// Options of one token behind one context, letters for example, need the context read once.
    private func score(
        _ sequences: [HarnessTokens], _ scorer: SequenceScorer
    ) throws -> (sums: [Double], isGreedy: [Bool]) {
        let contexts = Set(sequences.map { Array($0.ids.prefix($0.known)) })
        if contexts.count == 1, let context = contexts.first,
            sequences.allSatisfy({ $0.ids.count == $0.known + 1 })
        {
            let values = try scorer.next(after: context)
            let top = values.max() ?? 0
            let own = sequences.map { values[Int($0.ids[$0.known])] }
            return (own, own.map { $0 == top })
        }
        var (sums, greedy): ([Double], [Bool]) = ([], [])
        var rest = sequences[...]
        while !rest.isEmpty {
            var (batch, count): ([(ids: [Int32], known: Int)], Int) = ([], 0)
            while let next = rest.first, batch.isEmpty || count + next.ids.count <= Self.batchTokens
            {
                batch.append((next.ids, next.known))
                count += next.ids.count
                rest.removeFirst()
            }
            for found in try scorer.continuations(batch) {
                sums.append(found.logProbabilities.reduce(0) { $0 + Double($1) })
                greedy.append(found.isGreedy)
            }
        }
        return (sums, greedy)
    }

    /// How probable the reasoning and the response of each demonstration are.
    func measureDemonstrations(
        _ items: [EvaluationItem], _ usesAdapters: Bool, _ log: OutputLog
    ) throws -> Bool {
        let scorer = SequenceScorer(model, usesAdapters: usesAdapters)
        let kind = OutputLog.Key.demonstration
        let all = items.filter { $0.demonstration != nil }
        let left = all.filter { log.records[.init($0, kind)] == nil }
        var meter = Meter(total: all.count, doneBefore: all.count - left.count)
        var tokens = 0
        for item in left {
            if shouldStop() { return false }
            guard let demonstration = item.demonstration else { continue }
            let pieces = try pieces(demonstration)
            var record = OutputLog.Key(item, kind).fields
            let ids = pieces.prompt + pieces.reasoning + pieces.response
            tokens += ids.count
            // What doesn't fit is left out of both sides.
            if ids.count <= model.configuration.maxPositions, !ids[pieces.prompt.count...].isEmpty {
                let values = try scorer.continuations([(ids, pieces.prompt.count)])[0]
                    .logProbabilities.map(Double.init)
                func loss(_ part: ArraySlice<Double>) -> JSON { .number(-part.reduce(0, +)) }
                record["reasoning_nll"] = loss(values.prefix(pieces.reasoning.count))
                record["reasoning_tokens"] = .integer(pieces.reasoning.count)
                record["response_nll"] = loss(values.dropFirst(pieces.reasoning.count))
                record["response_tokens"] = .integer(pieces.response.count)
            }
            try log.append(record)
            meter.finish(1)
            onProgress(meter.progress(tokens: tokens))
        }
        return true
    }

    /// The inference prompt, the reasoning in its tags, and the response. Reasoning and response are tokenized together,
    /// as in training; a token belongs to where it begins.
    func pieces(
        _ demonstration: EvaluationItem.Demonstration
    ) throws -> (prompt: [Int32], reasoning: [Int32], response: [Int32]) {
        let message: JSON = ["role": "user", "content": .string(demonstration.question)]
        let text = try chat.render([message], addGenerationPrompt: true).text
        let opens = ThinkingText(after: text).isThinking ? "" : "<think>"
        let reasoning = opens + demonstration.reasoning + "</think>"
        let ids = chat.tokenizer.encode(reasoning + demonstration.response)
        var decoder = StreamingDecoder(chat.tokenizer)
        var (count, bytes) = (0, 0)
        while count < ids.count, bytes < reasoning.utf8.count {
            bytes += decoder.push(ids[count]).utf8.count
            count += 1
        }
        return (chat.tokenizer.encode(text), Array(ids[..<count]), Array(ids[count...]))
    }
}
