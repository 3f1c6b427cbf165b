package import OslerData
internal import OslerFormats
internal import OslerInference
package import OslerModels

/// Puts items to a model, with its adapter or without, and keeps every raw output.
package final class ModelEvaluator {
    package struct Progress: Sendable {
        package var done: Int
        package var total: Int
        package var tokensPerSecond: Double
        /// nil until it can be told.
        package var secondsLeft: Double?
    }

    let model: CausalLM
    let chat: ChatContext
    /// Ids that end an answer.
    let stop: Set<Int32>
    package let settings: EvaluationSettings
    package var onProgress: (Progress) -> Void = { _ in }
    package var shouldStop: () -> Bool = { false }

    package init(
        _ model: CausalLM, chat: ChatContext, stop: Set<Int32>, settings: EvaluationSettings
    ) {
        (self.model, self.chat, self.stop, self.settings) = (model, chat, stop, settings)
    }

    /// Everything that `log` doesn't hold yet.
    ///
    /// - Returns: false when stopped before all was done.
    package func run(
        _ items: [EvaluationItem], usesAdapters: Bool, log: OutputLog
    ) throws -> Bool {
        let isDone =
            switch settings.method {
            case .generate: try generate(items, usesAdapters, log)
            case .loglikelihood: try compareOptions(items, usesAdapters, log)
            }
        guard isDone, settings.measuresPerplexity else { return isDone }
        return try measureDemonstrations(items, usesAdapters, log)
    }

    /// Checks before any weights are read that each item can be put to the model.
    package static func check(
        _ task: EvaluationTask, _ settings: EvaluationSettings
    ) throws {
        guard settings.method == .loglikelihood else { return }
        for item in task.items {
            if case .open = item.reference {
                throw InputError(
                    "item \(item.id) has no options, log likelihoods compare options",
                    file: task.file, remedy: "use --method generate")
            }
        }
    }

    /// Tells the rate and the time left.
    struct Meter {
        let total: Int
        private let clock = ContinuousClock()
        private let start: ContinuousClock.Instant
        private var done = 0
        private let doneBefore: Int

        init(total: Int, doneBefore: Int) {
            (self.total, self.doneBefore) = (total, doneBefore)
            start = clock.now
        }

        mutating func finish(_ count: Int) { done += count }

        func progress(tokens: Int) -> Progress {
            let passed = (clock.now - start).seconds
            let left = total - doneBefore - done
            return Progress(
                done: doneBefore + done, total: total,
                tokensPerSecond: Double(tokens) / max(passed, 1e-9),
                secondsLeft: done == 0 ? nil : passed / Double(done) * Double(left))
        }
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + 1e-18 * Double(components.attoseconds) }
}
