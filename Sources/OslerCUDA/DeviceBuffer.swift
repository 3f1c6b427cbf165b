internal import CCUDA
internal import Synchronization

extension Device {
    /// Memory of the card, aligned to 256 bytes at least. For one owner, who calls `free`.
    func allocate(byteCount: Int) throws(CUDAError) -> CUdeviceptr {
        precondition(byteCount >= 0)
        try activate()
        var address: CUdeviceptr = 0
        let status = driver.call.cuMemAlloc_v2(&address, max(byteCount, 1))
        if status != 0 {
            let left = (try? freeBytes()).map { ", the GPU has \($0) left" } ?? ""
            try driver.check(status, "cuMemAlloc(\(byteCount) bytes\(left))")
        }
        held.withLock {
            $0.now += byteCount
            $0.peak = max($0.peak, $0.now)
        }
        return address
    }

    /// When the work that may use it is done. What fails here has no one to hear it; the next call
    /// reports it again.
    func free(_ address: CUdeviceptr, byteCount: Int) {
        try? synchronizeCopies()
        try? synchronize()
        _ = driver.call.cuMemFree_v2(address)
        held.withLock { $0.now -= byteCount }
    }
}

/// Memory of a card, freed with this.
struct DeviceBuffer: ~Copyable {
    let device: Device
    let address: CUdeviceptr
    let byteCount: Int

    init(on device: Device, byteCount: Int) throws(CUDAError) {
        address = try device.allocate(byteCount: byteCount)
        (self.device, self.byteCount) = (device, byteCount)
    }

    deinit { device.free(address, byteCount: byteCount) }
}

/// Page-locked host memory: the card copies from it while the host goes on.
struct PinnedBuffer: ~Copyable {
    let device: Device
    let base: UnsafeMutableRawPointer
    let byteCount: Int

    init(on device: Device, byteCount: Int) throws(CUDAError) {
        try device.activate()
        var memory: UnsafeMutableRawPointer?
        try device.driver.check(
            device.driver.call.cuMemHostAlloc(&memory, byteCount, 0),
            "cuMemHostAlloc(\(byteCount) bytes)")
        guard let memory else { throw CUDAError(call: "cuMemHostAlloc", problem: "gave no memory") }
        (self.device, base, self.byteCount) = (device, memory, byteCount)
    }

    deinit { _ = device.driver.call.cuMemFreeHost(base) }
}
