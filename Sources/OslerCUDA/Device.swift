internal import CCUDA
internal import Synchronization

/// One card: what the driver says of it.
package struct DeviceDescription: Sendable, Equatable {
    package let index: Int
    package let name: String
    package let totalBytes: Int
    package let multiprocessors: Int
    /// Compute capability, 90 for 9.0.
    package let architecture: Int
    package let sharedBytesPerBlock: Int
}

extension Driver {
    package func devices() throws(CUDAError) -> [DeviceDescription] {
        var count: Int32 = 0
        let status = call.cuDeviceGetCount(&count)
        if Int(status) == CCUDA_ERROR_NO_DEVICE { return [] }
        try check(status, "cuDeviceGetCount")
        var result: [DeviceDescription] = []
        for index in 0..<Int(count) { result.append(try describe(index)) }
        return result
    }

    package func describe(_ index: Int) throws(CUDAError) -> DeviceDescription {
        var device: CUdevice = 0
        try check(call.cuDeviceGet(&device, Int32(index)), "cuDeviceGet(\(index))")
        var name = [CChar](repeating: 0, count: 256)
        try check(call.cuDeviceGetName(&name, 256, device), "cuDeviceGetName")
        var bytes = 0
        try check(call.cuDeviceTotalMem_v2(&bytes, device), "cuDeviceTotalMem")
        let major = try attribute(CCUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
        let minor = try attribute(CCUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
        return DeviceDescription(
            index: index,
            name: String(
                decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
            totalBytes: bytes,
            multiprocessors: try attribute(CCUDA_ATTRIBUTE_MULTIPROCESSOR_COUNT, device),
            architecture: major * 10 + minor,
            sharedBytesPerBlock: try attribute(
                CCUDA_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device))
    }

    private func attribute(_ attribute: Int, _ device: CUdevice) throws(CUDAError) -> Int {
        var value: Int32 = 0
        try check(
            call.cuDeviceGetAttribute(&value, Int32(attribute), device),
            "cuDeviceGetAttribute(\(attribute))")
        return Int(value)
    }
}

/// A card in use: its primary context, held while this lives, the one queue of work on it, and one of
/// copies beside it.
///
/// `@unchecked Sendable`: all is constant. The driver's idea of a current context is one a thread;
/// `activate` sets it.
final class Device: @unchecked Sendable {
    let driver: Driver
    let description: DeviceDescription
    /// Work is done in the order in which it was queued.
    let stream: CUstream
    /// Copies that must not hold up the work; events say what waits for what.
    let copyStream: CUstream
    private let handle: CUdevice
    let context: CUcontext
    /// Bytes that this process holds on the card, and the most that it has held.
    let held = Mutex((now: 0, peak: 0))

    init(_ driver: Driver, index: Int) throws(CUDAError) {
        description = try driver.describe(index)
        var (handle, context): (CUdevice, CUcontext?) = (0, nil)
        try driver.check(driver.call.cuDeviceGet(&handle, Int32(index)), "cuDeviceGet")
        try driver.check(
            driver.call.cuDevicePrimaryCtxRetain(&context, handle), "cuDevicePrimaryCtxRetain")
        guard let context else {
            throw CUDAError(call: "cuDevicePrimaryCtxRetain", problem: "gave no context")
        }
        do throws(CUDAError) {
            try driver.check(driver.call.cuCtxSetCurrent(context), "cuCtxSetCurrent")
            stream = try driver.makeStream()
            copyStream = try driver.makeStream()
        } catch {
            _ = driver.call.cuDevicePrimaryCtxRelease_v2(handle)
            throw error
        }
        (self.driver, self.handle, self.context) = (driver, handle, context)
    }

    deinit {
        _ = driver.call.cuCtxSetCurrent(context)
        _ = driver.call.cuStreamDestroy_v2(copyStream)
        _ = driver.call.cuStreamDestroy_v2(stream)
        _ = driver.call.cuDevicePrimaryCtxRelease_v2(handle)
    }

    /// Makes the context the calling thread's; every call that needs one comes after this.
    func activate() throws(CUDAError) {
        try driver.check(driver.call.cuCtxSetCurrent(context), "cuCtxSetCurrent")
    }

    /// Waits for all work that was queued.
    func synchronize() throws(CUDAError) {
        try driver.check(driver.call.cuStreamSynchronize(stream), "cuStreamSynchronize")
    }

    /// Waits for all copies that were queued beside the work.
    func synchronizeCopies() throws(CUDAError) {
        try activate()
        try driver.check(driver.call.cuStreamSynchronize(copyStream), "cuStreamSynchronize")
    }

    func freeBytes() throws(CUDAError) -> Int {
        try activate()
        var (available, total) = (0, 0)
        try driver.check(driver.call.cuMemGetInfo_v2(&available, &total), "cuMemGetInfo")
        return available
    }
}

extension Driver {
    fileprivate func makeStream() throws(CUDAError) -> CUstream {
        var stream: CUstream?
        try check(
            call.cuStreamCreate(&stream, UInt32(CCUDA_STREAM_NON_BLOCKING)), "cuStreamCreate")
        guard let stream else { throw CUDAError(call: "cuStreamCreate", problem: "gave no stream") }
        return stream
    }
}
