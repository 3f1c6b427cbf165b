#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The learning rate of every optimizer step, as transformers' schedulers give it
/// (`transformers/optimization.py`): step 0 with warmup has rate 0.
package struct LearningRateSchedule: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case linear, cosine, constant
        case constantWithWarmup = "constant_with_warmup"
        case cosineWithMinLR = "cosine_with_min_lr"
    }
    package var kind: Kind
    package var peak: Double
    package var warmupSteps: Int
    package var totalSteps: Int
    /// Half waves are 2 * cycles: 0.5 falls once from the peak to the end.
    package var cycles: Double = 0.5
    /// `cosine_with_min_lr`: the rate at the end, as a share of the peak.
    package var minimumShare: Double = 0

    package init(
        kind: Kind, peak: Double, warmupSteps: Int, totalSteps: Int, cycles: Double = 0.5,
        minimumShare: Double = 0
    ) {
        (self.kind, self.peak, self.warmupSteps, self.totalSteps) =
            (kind, peak, warmupSteps, totalSteps)
        (self.cycles, self.minimumShare) = (cycles, minimumShare)
    }

    /// `warmup_steps` as the Trainer reads it: below 1 it is a share of all steps, rounded up.
    package static func warmupSteps(_ value: Double, totalSteps: Int) -> Int {
        value < 1 ? Int((value * Double(totalSteps)).rounded(.up)) : Int(value)
    }

    /// - Parameter step: counted from 0.
    package func rate(step: Int) -> Double { peak * share(step: step) }

    private func share(step: Int) -> Double {
        if kind == .constant { return 1 }
        if step < warmupSteps { return Double(step) / Double(max(1, warmupSteps)) }
        let progress = Double(step - warmupSteps) / Double(max(1, totalSteps - warmupSteps))
        switch kind {
        case .constant, .constantWithWarmup: return 1
        case .linear:
            return max(
                0, Double(totalSteps - step) / Double(max(1, totalSteps - warmupSteps)))
        case .cosine:
            return max(0, 0.5 * (1 + cos(Double.pi * cycles * 2 * progress)))
        case .cosineWithMinLR:
            let share = 0.5 * (1 + cos(Double.pi * cycles * 2 * progress))
            return max(0, share * (1 - minimumShare) + minimumShare)
        }
    }
}
