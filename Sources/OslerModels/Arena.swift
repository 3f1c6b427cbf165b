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
    /// The parts on the further devices of a group.
    private let others: [Arena]

    /// - Throws: when the memory can't be had.
    package convenience init(backend: any Backend, byteCount: Int) throws {
        try self.init(backend: backend, byteCounts: [byteCount])
    }

    /// A part on each of the first devices of a group.
    ///
    /// - Throws: when the memory can't be had.
    package convenience init(backend: any Backend, byteCounts: [Int]) throws {
        let others = try byteCounts.indices.dropFirst().map {
            try Arena(on: $0, of: backend, byteCount: byteCounts[$0])
        }
        try self.init(on: 0, of: backend, byteCount: byteCounts[0], others: others)
    }

    private init(
        on device: Int, of backend: any Backend, byteCount: Int, others: [Arena] = []
    ) throws {
        (self.backend, self.others) = (backend, others)
        storage = try backend.on(device) {
            try backend.allocate(byteCount: max(byteCount, 64))
        }
    }

    /// The part on a device.
    package subscript(device: Int) -> Arena { device == 0 ? self : others[device - 1] }
    /// `peak` of every part.
    package var peaks: [Int] { [peak] + others.map(\.peak) }

    package var capacity: Int { storage.byteCount }

    /// Writes to all of it once, so that the system gives it now: a run that has begun can't run out of it at its largest
    /// batch, and no step pays for what was never touched. A card gives memory when it is asked for.
    package func touch() {
        guard backend.usesHostMemory else { return }
        backend.zero(Tensor(storage: storage, dtype: .uint8, shape: [capacity]))
        for other in others { other.touch() }
    }

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

    /// Runs `body` and gives back what it took, of all parts.
    package func scope<Result>(_ body: () throws -> Result) rethrows -> Result {
        let mark = used
        let otherMarks = others.map(\.used)
        defer {
            used = mark
            for (other, mark) in zip(others, otherMarks) { other.used = mark }
        }
        return try body()
    }

    /// Gives back everything taken after `mark`, an earlier value of `used`.
    package func release(to mark: Int) {
        precondition(mark <= used)
        used = mark
    }
}
