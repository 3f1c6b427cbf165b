internal import CCUDA
internal import OslerCompute
internal import Synchronization

/// What the card does, measured on it: the time of any work, and the two ceilings that shares refer to.
extension CUDABackend {
    /// Seconds that the card takes for what `body` queues, run after run without a gap between.
    ///
    /// The best of up to five rounds, each as many runs as fill a twentieth of a second, until a second is over. The
    /// first run is not counted: it compiles kernels, chooses algorithms and allocates scratch.
    package func measureSeconds(_ body: () throws -> Void) throws -> Double {
        _ = try seconds(of: 1, body)
        let single = try seconds(of: 1, body)
        let count = Int(min(max(0.05 / max(single, 1e-7), 1), 1000))
        var (best, total) = (single, 0.0)
        for _ in 0..<5 where total < 1 {
            let one = try seconds(of: count, body)
            best = min(best, one)
            total += one * Double(count)
        }
        return best
    }

    /// Seconds of one of `count` runs.
    private func seconds(of count: Int, _ body: () throws -> Void) throws -> Double {
        try device.activate()
        let begin = try Event(on: device, timing: true)
        let end = try Event(on: device, timing: true)
        perform { () throws(CUDAError) in try begin.record() }
        for _ in 0..<count { try body() }
        perform { () throws(CUDAError) in try end.record() }
        try synchronize()
        return max(try end.seconds(since: begin), 1e-9) / Double(count)
    }

    /// Bytes a second that the card reads and writes, together, in copies within its memory.
    ///
    /// - Parameter byteCount: of one copy; an eighth of what is free where that is less.
    package func measureBandwidth(byteCount: Int = 256 << 20) throws -> Double {
        let byteCount = min(byteCount, try freeBytes() / 8)
        let (from, to) = (try tensor(.uint8, [byteCount]), try tensor(.uint8, [byteCount]))
        zero(from)
        let seconds = try measureSeconds {
            copyBytes(from: from.deviceAddress, to: to.deviceAddress, count: byteCount)
        }
        return 2 * Double(byteCount) / seconds
    }

    /// Flops a second of a large square product in this precision, float32 sums, by cuBLASLt; a multiplication and an
    /// addition are two.
    ///
    /// Sizes double from 256 until a product takes a millisecond, or three matrices a quarter of what is free.
    package func measurePeakFlops() throws -> Double {
        var best = 0.0
        for size in [256, 512, 1024, 2048, 4096, 8192, 16384] {
            let type = precision.activationType
            guard try 3 * size * size * type.byteWidth <= freeBytes() / 4 || best == 0 else {
                break
            }
            let (a, b) = (try randomSquare(size, seed: 1), try randomSquare(size, seed: 2))
            let output = try tensor(type, [size, size])
            let seconds = try measureSeconds {
                multiply([.forward(a, .dense(b))], adding: nil, bias: nil, into: output)
            }
            best = max(best, 2 * Double(size) * Double(size) * Double(size) / seconds)
            if seconds > 1e-3 { break }
        }
        return best
    }

    /// Numbers of size 1 to 2 with random signs and digits: a card is faster on zeros, which need less power. The same
    /// MiB over and over.
    private func randomSquare(_ size: Int, seed: UInt64) throws -> Tensor {
        let result = try tensor(precision.activationType, [size, size])
        let (mask, one): (UInt64, UInt64) =
            result.dtype.byteWidth == 2
            ? (0x807F_807F_807F_807F, 0x3F80_3F80_3F80_3F80)
            : (0x807F_FFFF_807F_FFFF, 0x3F80_0000_3F80_0000)
        var random = SplitMix64(state: seed)
        let words = (0..<min(result.byteCount, 1 << 20) / 8).map { _ in random.next() & mask | one }
        var filled = words.count * 8
        words.withUnsafeBytes { upload($0, to: result.deviceAddress) }
        while filled < result.byteCount {
            let count = min(filled, result.byteCount - filled)
            copyBytes(
                from: result.deviceAddress, to: result.deviceAddress + UInt64(filled), count: count)
            filled += count
        }
        return result
    }

    /// Bytes of the card that were taken when this process held the most of them: by it, by its context, by the driver,
    /// and by other programs.
    package func mostUsedBytes() throws -> Int {
        let held = device.held.withLock { $0 }
        return card.totalBytes - (try freeBytes()) + held.peak - held.now
    }
}
