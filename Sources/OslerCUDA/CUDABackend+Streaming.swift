internal import CCUDA
package import OslerCompute

/// Weights that wait in host memory: a second queue copies them while the first one computes.
extension CUDABackend {
    package func allocatePinned(byteCount: Int) throws -> Storage {
        try checkHealth()
        let memory = try PinnedMemory(on: device, byteCount: byteCount)
        return Storage(base: memory.base, byteCount: byteCount) { _ in
            withExtendedLifetime(memory) {}
        }
    }

    package func makeSlot(byteCount: Int) throws -> any StreamSlot {
        try checkHealth()
        return try CUDASlot(on: self, byteCount: byteCount)
    }
}

/// Page-locked memory with several owners. `@unchecked Sendable`: all is constant.
private final class PinnedMemory: @unchecked Sendable {
    private let buffer: PinnedBuffer
    var base: UnsafeMutableRawPointer { buffer.base }

    init(on device: Device, byteCount: Int) throws(CUDAError) {
        buffer = try PinnedBuffer(on: device, byteCount: byteCount)
    }

    /// The card may still be reading.
    deinit { try? buffer.device.synchronizeCopies() }
}

/// `@unchecked Sendable`: as the backend, one caller at a time.
private final class CUDASlot: StreamSlot, @unchecked Sendable {
    let storage: Storage
    private let backend: CUDABackend
    /// In the queue of work: what was queued before the fill is done.
    private let isFree: Event
    /// In the queue of copies.
    private let isFilled: Event

    init(on backend: CUDABackend, byteCount: Int) throws(CUDAError) {
        self.backend = backend
        storage = try backend.newStorage(byteCount: byteCount)
        isFree = try Event(on: backend.device)
        isFilled = try Event(on: backend.device)
    }

    func fill(from source: Storage) {
        precondition(source.byteCount <= storage.byteCount)
        let device = backend.device
        let address = CUdeviceptr(UInt(bitPattern: storage.base))
        backend.perform { () throws(CUDAError) in
            try isFree.record()
            try isFree.delay(device.copyStream)
            try device.driver.check(
                device.driver.call.cuMemcpyHtoDAsync_v2(
                    address, source.base, source.byteCount, device.copyStream),
                "cuMemcpyHtoDAsync(\(source.byteCount) bytes)")
            try isFilled.record(on: device.copyStream)
        }
    }

    func awaitFill() {
        backend.perform { () throws(CUDAError) in try isFilled.delay(backend.device.stream) }
    }
}
