package import OslerCompute

/// A stack of tensors in one piece of memory, taken once and reused by every step.
///
/// A pass takes tensors in order and gives back everything after a mark at once, so nothing is allocated while training
/// runs and the peak is known beforehand: the same code run on a `PlanningBackend` measures it.
package final class Arena {
    package let backend: any Backend
    package private(set) var used = 0
    /// The most bytes that were in use at once since `init`.
    package private(set) var peak = 0
    private let storage: Storage

    /// - Throws: when the memory can't be had.
    package init(backend: any Backend, byteCount: Int) throws {
        self.backend = backend
        storage = try backend.allocate(byteCount: max(byteCount, 64))
    }

    package var capacity: Int { storage.byteCount }

    /// The next tensor, aligned to 64 bytes, uninitialised.
    package func tensor(_ dtype: DType, _ shape: [Int]) -> Tensor {
        let tensor = Tensor(storage: storage, byteOffset: used, dtype: dtype, shape: shape)
        used += (tensor.byteCount + 63) & ~63
        peak = max(peak, used)
        return tensor
    }

    /// A tensor in the format of activations.
    package func activation(_ shape: [Int]) -> Tensor {
        tensor(backend.precision.activationType, shape)
    }

    /// Runs `body` and gives back what it took.
    package func scope<Result>(_ body: () throws -> Result) rethrows -> Result {
        let mark = used
        defer { used = mark }
        return try body()
    }

    /// Gives back everything taken after `mark`, an earlier value of `used`.
    package func release(to mark: Int) {
        precondition(mark <= used)
        used = mark
    }
}
