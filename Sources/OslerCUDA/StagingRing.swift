internal import CCUDA

/// Page-locked memory through which host bytes go to the card: filled in a circle, so that the host
/// waits only where the card has yet to read what was put there a lap before.
///
/// 16 MiB in pieces of 2 MiB. A micro-batch of 16384 tokens uploads a quarter of a MiB of ids,
/// positions, targets and tables, so the host queues some fifty of them before it could wait for the
/// first one's compute. (The copies are in the stream's order: the card does them between the
/// micro-batches, in microseconds.) Copies of 2 MiB take far longer than what starting them costs.
final class StagingRing {
    private static let pieceBytes = 2 << 20
    private static let pieceCount = 8

    private let device: Device
    private let memory: PinnedBuffer
    private let pieces: [Piece]
    /// Where the next bytes go.
    private var position = 0

    private final class Piece {
        /// Recorded when the card has been told to read all of it.
        let isRead: Event
        init(on device: Device) throws(CUDAError) { isRead = try Event(on: device) }
    }

    init(on device: Device) throws(CUDAError) {
        self.device = device
        memory = try PinnedBuffer(on: device, byteCount: Self.pieceCount * Self.pieceBytes)
        var pieces: [Piece] = []
        for _ in 0..<Self.pieceCount { pieces.append(try Piece(on: device)) }
        self.pieces = pieces
    }

    /// `bytes` are free to change when this returns; the copy is queued.
    func upload(_ bytes: UnsafeRawBufferPointer, to address: CUdeviceptr) throws(CUDAError) {
        var done = 0
        while done < bytes.count {
            let (piece, used) = (
                pieces[position / Self.pieceBytes], position % Self.pieceBytes
            )
            if used == 0 { try piece.isRead.wait() }
            let count = min(Self.pieceBytes - used, bytes.count - done)
            try copy(
                UnsafeRawBufferPointer(rebasing: bytes[done..<done + count]),
                to: address + UInt64(done))
            done += count
            // The next copy begins at a line of the host's memory.
            position += (count + 63) / 64 * 64
            if position % Self.pieceBytes == 0 { try piece.isRead.record() }
            position %= Self.pieceCount * Self.pieceBytes
        }
    }

    /// Through the ring's memory at `position`.
    private func copy(_ bytes: UnsafeRawBufferPointer, to address: CUdeviceptr) throws(CUDAError) {
        let place = memory.base + position
        if let base = bytes.baseAddress { place.copyMemory(from: base, byteCount: bytes.count) }
        try device.driver.check(
            device.driver.call.cuMemcpyHtoDAsync_v2(address, place, bytes.count, device.stream),
            "cuMemcpyHtoDAsync(\(bytes.count) bytes)")
    }
}
