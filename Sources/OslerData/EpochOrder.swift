internal import OslerFormats

/// In which order an epoch goes through the rows (`train_sampling_strategy`).
package enum SamplingStrategy: String, Sendable, CaseIterable {
    case random
    case sequential
}

/// The order of the rows in epoch `epoch` (from 0), as transformers' Trainer has it:
/// `torch.randperm` of a generator seeded with the seed plus the epoch. `seed` is `data_seed` where
/// that is set, else the run's seed.
package func epochOrder(
    count: Int, epoch: Int, seed: UInt64, strategy: SamplingStrategy = .random
) -> [Int] {
    switch strategy {
    case .random:
        var generator = TorchGenerator(seed: seed &+ UInt64(epoch))
        return generator.permutation(count)
    case .sequential:
        return Array(0..<count)
    }
}

/// Consecutive slices of `order`, `size` rows each; the last one may be short.
package func microBatchSlices(_ order: [Int], size: Int) -> [[Int]] {
    precondition(size > 0)
    return stride(from: 0, to: order.count, by: size).map { start in
        Array(order[start..<min(start + size, order.count)])
    }
}
