package import OslerFormats
package import OslerInference

/// How items are put to a model.
package struct EvaluationSettings: Sendable {
    package enum Method: String, Sendable, CaseIterable {
        /// The model writes an answer, which is read.
        case generate
        /// The model says how probable each option is, as in EleutherAI's lm-evaluation-harness.
        case loglikelihood
    }

    /// What stands for an option in log likelihoods.
    package enum Choices: String, Sendable, CaseIterable {
        /// The options stand in the prompt, their letters are compared (the harness' medqa, medmcqa).
        case letters
        /// Only the question stands in the prompt, the options' texts are compared.
        case texts
    }

    package var method = Method.generate
    package var choices = Choices.letters
    package var maxNewTokens = 1024
    /// Reasoning longer than this many tokens is ended, so that an answer follows.
    package var thinkingBudget: Int?
    /// Answers drawn for each item; the majority counts.
    package var samples = 1
    package var sampling = SamplingOptions.greedy
    package var batchSize = 16
    /// Measure how probable the demonstrations' reasoning and responses are, too.
    package var measuresPerplexity = false
    package var systemPrompt: String?

    package init() {}

    /// Everything that changes an output.
    package var json: JSON {
        [
            "method": .string(method.rawValue), "choices": .string(choices.rawValue),
            "max_new_tokens": .integer(maxNewTokens),
            "thinking_budget": thinkingBudget.map { .integer($0) } ?? .null,
            "samples": .integer(samples), "temperature": .number(sampling.temperature),
            "top_p": .number(sampling.topP), "top_k": sampling.topK.map { .integer($0) } ?? .null,
            "seed": .string(String(sampling.seed)),
            "system_prompt": systemPrompt.map { .string($0) } ?? .null,
        ]
    }
}
