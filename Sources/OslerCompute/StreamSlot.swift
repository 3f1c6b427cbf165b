/// Device memory whose content comes from host memory again and again, while the device computes.
package protocol StreamSlot: AnyObject, Sendable {
    var storage: Storage { get }
    /// Begins to copy `source`, of `Backend.allocatePinned` and no larger than the slot, as soon as all work that was
    /// queued so far is done. What was in the slot is gone.
    func fill(from source: Storage)
    /// Work that is queued from now on comes after the last `fill`. The host goes on.
    func awaitFill()
}

/// A slot of backends that compute in host memory: the copy is made at once.
private final class HostSlot: StreamSlot {
    let storage: Storage

    init(byteCount: Int) throws { storage = try HostStorage.allocate(byteCount: byteCount) }

    func fill(from source: Storage) {
        precondition(source.byteCount <= storage.byteCount)
        storage.base.copyMemory(from: source.base, byteCount: source.byteCount)
    }

    func awaitFill() {}
}

extension Backend {
    /// Of backends that compute in host memory.
    package func fetch(_ source: Tensor, from other: any Backend, into destination: Tensor) {
        precondition(usesHostMemory && other.usesHostMemory)
        destination.address.copyMemory(from: source.address, byteCount: source.byteCount)
    }

    package func allocatePinned(byteCount: Int) throws -> Storage {
        try HostStorage.allocate(byteCount: byteCount)
    }

    package func makeSlot(byteCount: Int) throws -> any StreamSlot {
        try HostSlot(byteCount: byteCount)
    }
}
