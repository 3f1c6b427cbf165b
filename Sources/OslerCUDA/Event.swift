internal import CCUDA

/// A mark in a card's queue of work.
struct Event: ~Copyable {
    let device: Device
    private let handle: CUevent

    init(on device: Device, timing: Bool = false) throws(CUDAError) {
        var event: CUevent?
        let driver = device.driver
        try device.activate()
        let flags = timing ? CCUDA_EVENT_DEFAULT : CCUDA_EVENT_DISABLE_TIMING
        try driver.check(driver.call.cuEventCreate(&event, UInt32(flags)), "cuEventCreate")
        guard let event else { throw CUDAError(call: "cuEventCreate", problem: "gave no event") }
        (self.device, handle) = (device, event)
    }

    deinit { _ = device.driver.call.cuEventDestroy_v2(handle) }

    /// - Parameter stream: the queue; nil: that of work.
    func record(on stream: CUstream? = nil) throws(CUDAError) {
        try device.driver.check(
            device.driver.call.cuEventRecord(handle, stream ?? device.stream), "cuEventRecord")
    }

    /// What is queued on `stream` from now on comes after where this was recorded last.
    func delay(_ stream: CUstream) throws(CUDAError) {
        try device.driver.check(
            device.driver.call.cuStreamWaitEvent(stream, handle, 0), "cuStreamWaitEvent")
    }

    /// Waits until the card has come to where it was recorded; not at all if it never was.
    func wait() throws(CUDAError) {
        try device.driver.check(device.driver.call.cuEventSynchronize(handle), "cuEventSynchronize")
    }

    /// Seconds from `earlier` to this; both with timing, both reached.
    func seconds(since earlier: borrowing Event) throws(CUDAError) -> Double {
        var milliseconds: Float = 0
        try device.driver.check(
            device.driver.call.cuEventElapsedTime(&milliseconds, earlier.handle, handle),
            "cuEventElapsedTime")
        return Double(milliseconds) / 1000
    }
}
