internal import OslerFormats

/// `eval_tasks`: questions that the base and the tuned model answer at the end of a run.
package struct TaskEvaluationOptions: Sendable, Equatable {
    package enum Method: String, Sendable, CaseIterable {
        case generate, loglikelihood
    }

    /// Files, or names of tasks; none: nothing is asked.
    package var tasks: [String] = []
    package var method = Method.generate
    /// At most this many items of each task.
    package var limit: Int?
    package var maxNewTokens = 1024
    package var thinkingBudget: Int?
    package var samples = 1
    package var batchSize = 16
}

extension SFTConfiguration {
    mutating func readTasks(_ reader: inout ConfigurationReader) throws {
        var options = TaskEvaluationOptions()
        if let value = try reader.value("eval_tasks") {
            options.tasks = value.string.map { [$0] } ?? value.array?.compactMap(\.string) ?? []
            guard !options.tasks.isEmpty, options.tasks.count == value.array?.count ?? 1 else {
                throw reader.error(
                    "eval_tasks", "\(value.serialized(ensureASCII: false)) is no list of files",
                    remedy: "for example [medqa.jsonl]")
            }
        }
        options.method =
            try reader.choice("eval_tasks_method", as: TaskEvaluationOptions.Method.self)
            ?? options.method
        options.limit = try reader.integer("eval_tasks_limit")
        options.maxNewTokens =
            try reader.integer("eval_tasks_max_new_tokens") ?? options.maxNewTokens
        options.thinkingBudget = try reader.integer("eval_tasks_thinking_budget")
        options.samples =
            try reader.integer("eval_tasks_samples", maximum: 1024) ?? options.samples
        options.batchSize =
            try reader.integer("eval_tasks_batch_size", maximum: 1024) ?? options.batchSize
        taskEvaluation = options
    }
}
