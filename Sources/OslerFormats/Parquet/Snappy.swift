/// Snappy's raw format: a length, then literals and copies of what is already there.
enum Snappy {
    /// - Parameter limit: most bytes to give out.
    /// - Returns: nil for damaged data.
    static func decompress(_ bytes: UnsafeRawBufferPointer, limit: Int) -> [UInt8]? {
        var position = 0
        guard let count = varint(bytes, &position), count <= limit,
            // No element of Snappy's makes more than 64 bytes of 2.
            count <= 64 * (bytes.count + 1)
        else { return nil }
        var isWhole = false
        let output = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            isWhole = fill(UnsafeMutableRawBufferPointer(buffer), bytes, position)
            filled = isWhole ? count : 0
        }
        return isWhole ? output : nil
    }

    private static func fill(
        _ output: UnsafeMutableRawBufferPointer, _ bytes: UnsafeRawBufferPointer, _ start: Int
    ) -> Bool {
        var (position, filled) = (start, 0)
        func number(_ size: Int) -> Int? {
            guard size <= bytes.count - position else { return nil }
            defer { position += size }
            return (0..<size).reduce(0) { $0 | Int(bytes[position + $1]) << (8 * $1) }
        }
        while position < bytes.count {
            let tag = Int(bytes[position])
            position += 1
            if tag & 3 == 0 {
                var count = tag >> 2 + 1
                if count > 60 {
                    guard let long = number(count - 60) else { return false }
                    count = long + 1
                }
                guard count <= bytes.count - position, count <= output.count - filled else {
                    return false
                }
                UnsafeMutableRawBufferPointer(rebasing: output[filled..<(filled + count)])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: bytes[position..<(position + count)]))
                position += count
                filled += count
            } else {
                let count = tag & 3 == 1 ? (tag >> 2 & 7) + 4 : tag >> 2 + 1
                guard let low = number([0, 1, 2, 4][tag & 3]) else { return false }
                let offset = tag & 3 == 1 ? (tag >> 5) << 8 | low : low
                guard offset > 0, offset <= filled, count <= output.count - filled else {
                    return false
                }
                // May overlap: then the copy repeats itself.
                for _ in 0..<count {
                    output[filled] = output[filled - offset]
                    filled += 1
                }
            }
        }
        return filled == output.count
    }
}
