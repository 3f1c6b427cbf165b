package import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How one side did on some items.
package struct SideSummary: Sendable {
    package let count: Int
    package let correct: Int
    package let interval: Interval
    package let unparsed: Int
    private let results: [ItemResult]

    package init(_ results: [ItemResult]) {
        self.results = results
        count = results.count
        correct = results.count(where: \.isCorrect)
        interval = Statistics.wilson(successes: correct, count: results.count)
        unparsed = results.count(where: \.isUnparsed)
    }

    package var accuracy: Double { share(correct) }
    /// Answers that hit the limit of tokens, of all samples.
    package var truncated: Int { sum(\.truncated) }
    package var truncationRate: Double { ratio(truncated, sum(\.samples)) }
    package var meanThinkingTokens: Double { ratio(sum(\.thinkingTokens), sum(\.samples)) }
    package var meanTokens: Double { ratio(sum(\.tokens), sum(\.samples)) }

    private func sum(_ value: (ItemResult) -> Int) -> Int { results.reduce(0) { $0 + value($1) } }
    private func ratio(_ part: Int, _ whole: Int) -> Double {
        whole == 0 ? 0 : Double(part) / Double(whole)
    }
    private func share(_ part: Int) -> Double { ratio(part, count) }

    /// Perplexity a token of the demonstrations' reasoning and response; nil where none were measured.
    package var perplexities: (reasoning: Double, response: Double)? {
        let losses = results.compactMap(\.demonstration)
        guard !losses.isEmpty else { return nil }
        func perplexity(_ loss: (DemonstrationLoss) -> Double, _ tokens: (DemonstrationLoss) -> Int)
            -> Double
        {
            let total = losses.reduce(0) { $0 + tokens($1) }
            return exp(losses.reduce(0) { $0 + loss($1) } / Double(max(1, total)))
        }
        return (
            perplexity(\.reasoning, \.reasoningTokens), perplexity(\.response, \.responseTokens)
        )
    }

    package var json: JSON {
        var object: JSON.Object = [
            "accuracy": .number(accuracy), "low": .number(interval.low),
            "high": .number(interval.high), "correct": .integer(correct),
            "count": .integer(count), "unparsed": .integer(unparsed),
            "truncated": .integer(truncated), "truncation_rate": .number(truncationRate),
        ]
        if results.contains(where: { $0.logLikelihoods != nil }) {
            object["acc_norm"] = .number(share(results.count(where: \.isCorrectPerCharacter)))
            object["acc_bytes"] = .number(share(results.count(where: \.isCorrectPerByte)))
        } else {
            object["mean_tokens"] = .number(meanTokens)
            object["mean_thinking_tokens"] = .number(meanThinkingTokens)
            object["thinking_ended"] = .integer(sum(\.thinkingEnded))
        }
        let open = results.compactMap(\.open)
        if !open.isEmpty {
            object["exact_match"] = .number(share(open.count(where: \.isExact)))
            object["normalized_match"] = .number(share(open.count(where: \.isMatch)))
            object["contained"] = .number(share(open.count(where: \.isContained)))
            object["f1"] = .number(open.reduce(0) { $0 + $1.f1 } / Double(max(1, count)))
        }
        if let perplexities {
            object["reasoning_perplexity"] = .number(perplexities.reasoning)
            object["response_perplexity"] = .number(perplexities.response)
        }
        return .object(object)
    }
}
