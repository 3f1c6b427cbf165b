internal import CCUDA

/// Page-locked buffers through which host bytes go to the card, one filled while another is read.
///
/// 8 MiB each: long enough to hide what a copy costs to start, short enough for two to stay in the
/// processor's caches' reach.
final class StagingRing {
    private static let slotBytes = 8 << 20

    private struct Slot: ~Copyable {
        let memory: PinnedBuffer
        /// Recorded when the card has been told to read the slot.
        let isRead: Event
    }

    private let device: Device
    private let first: Slot
    private let second: Slot
    private var turn = false

    init(on device: Device) throws(CUDAError) {
        self.device = device
        first = try Self.makeSlot(device)
        second = try Self.makeSlot(device)
    }

    private static func makeSlot(_ device: Device) throws(CUDAError) -> Slot {
        Slot(
            memory: try PinnedBuffer(on: device, byteCount: slotBytes),
            isRead: try Event(on: device))
    }

    /// `bytes` are free to change when this returns; the copy is queued.
    func upload(_ bytes: UnsafeRawBufferPointer, to address: CUdeviceptr) throws(CUDAError) {
        var done = 0
        while done < bytes.count {
            let count = min(Self.slotBytes, bytes.count - done)
            let piece = UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
            if turn {
                try upload(piece, to: address + UInt64(done), by: second)
            } else {
                try upload(piece, to: address + UInt64(done), by: first)
            }
            turn.toggle()
            done += count
        }
    }

    private func upload(
        _ piece: UnsafeRawBufferPointer, to address: CUdeviceptr, by slot: borrowing Slot
    ) throws(CUDAError) {
        try slot.isRead.wait()
        if let base = piece.baseAddress {
            slot.memory.base.copyMemory(from: base, byteCount: piece.count)
        }
        try device.driver.check(
            device.driver.call.cuMemcpyHtoDAsync_v2(
                address, slot.memory.base, piece.count, device.stream),
            "cuMemcpyHtoDAsync(\(piece.count) bytes)")
        try slot.isRead.record()
    }
}
