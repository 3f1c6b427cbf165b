internal import CCUDA
internal import OslerCompute

extension CUDABackend {
    /// Bytes a second that the card reads and writes, by the best of ten copies within its memory.
    ///
    /// - Parameter byteCount: of one copy; an eighth of what is free where that is less.
    package func measureBandwidth(byteCount: Int = 256 << 20) throws -> Double {
        let byteCount = min(byteCount, try freeBytes() / 8)
        let (source, destination) = (
            try allocate(byteCount: byteCount), try allocate(byteCount: byteCount)
        )
        let from = Tensor(storage: source, dtype: .uint8, shape: [byteCount])
        let to = Tensor(storage: destination, dtype: .uint8, shape: [byteCount])
        zero(from)
        let begin = try Event(on: device, timing: true)
        let end = try Event(on: device, timing: true)
        var best = Double.infinity
        for _ in 0..<10 {
            perform { () throws(CUDAError) in try begin.record() }
            copyBytes(from: from.deviceAddress, to: to.deviceAddress, count: byteCount)
            perform { () throws(CUDAError) in try end.record() }
            try synchronize()
            best = min(best, try end.seconds(since: begin))
        }
        return 2 * Double(byteCount) / max(best, 1e-9)
    }
}
