package import OslerCompute
package import OslerData
package import OslerModels

/// How to train, apart from what is trained on what: transformers' TrainingArguments and TRL's SFTConfig, as far as the
/// loop needs them. Defaults are TRL's.
package struct TrainingOptions: Sendable, Equatable {
    package var batchSize = 8
    package var evalBatchSize = 8
    package var accumulation = 1
    package var epochs = 3.0
    /// Overrides `epochs` when positive.
    package var maxSteps = -1
    package var learningRate = 2e-5
    package var schedule: LearningRateSchedule.Kind = .linear
    /// Below 1: a share of all steps.
    package var warmup = 0.0
    /// For `cosine`: half waves.
    package var cosineCycles = 0.5
    /// For `cosine_with_min_lr`, as a share of the peak.
    package var minimumRateShare = 0.0
    package var optimizer: OptimizerKind = .adamW
    package var hyperparameters = AdapterOptimizer.Hyperparameters()
    package var maxGradientNorm = 1.0
    package var loss: LossKind = .nll
    package var checkpointing: Checkpointing = .block
    package var seed: UInt64 = 42
    /// Seeds the order of rows where it differs from `seed`.
    package var dataSeed: UInt64?
    package var sampling: SamplingStrategy = .random
    package var loggingSteps = 10
    /// Evaluate every so many steps; nil: not while training.
    package var evalSteps: Int?
    /// Save a checkpoint every so many steps; nil: none.
    package var saveSteps: Int? = 500
    package var saveTotalLimit: Int?

    package init() {}
}
