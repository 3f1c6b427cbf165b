/// Parquet's hybrid of runs and packed bits: definition and repetition levels, and indices of dictionaries.
enum ParquetRuns {
    /// - Returns: `count` numbers of `bitWidth` bits; nil for damaged data.
    static func decode(_ bytes: UnsafeRawBufferPointer, bitWidth: Int, count: Int) -> [UInt32]? {
        guard (0...32).contains(bitWidth) else { return nil }
        var values: [UInt32] = []
        values.reserveCapacity(count)
        var position = 0
        let valueBytes = (bitWidth + 7) / 8
        while values.count < count {
            guard let header = varint(bytes, &position) else { return nil }
            let missing = count - values.count
            if header & 1 == 0 {
                guard header > 1, valueBytes <= bytes.count - position else { return nil }
                let value = (0..<valueBytes).reduce(UInt32(0)) {
                    $0 | UInt32(bytes[position + $1]) << UInt32(8 * $1)
                }
                position += valueBytes
                values.append(contentsOf: repeatElement(value, count: min(header >> 1, missing)))
            } else {
                let groups = header >> 1
                guard groups > 0, groups <= bytes.count + count else { return nil }
                // The last group may end with the values that are wanted.
                let wanted = min(groups * 8, missing)
                guard (wanted * bitWidth + 7) / 8 <= bytes.count - position else { return nil }
                unpack(bytes, position, bitWidth, wanted, &values)
                position = min(bytes.count, position + groups * bitWidth)
            }
        }
        return values
    }

    private static func unpack(
        _ bytes: UnsafeRawBufferPointer, _ start: Int, _ bitWidth: Int, _ count: Int,
        _ values: inout [UInt32]
    ) {
        var (buffer, bits, position): (UInt64, Int, Int) = (0, 0, start)
        let mask = UInt64(1) << UInt64(bitWidth) - 1
        for _ in 0..<count {
            while bits < bitWidth {
                buffer |= UInt64(bytes[position]) << UInt64(bits)
                position += 1
                bits += 8
            }
            values.append(UInt32(buffer & mask))
            buffer >>= UInt64(bitWidth)
            bits -= bitWidth
        }
    }

    /// Bits that a number up to `highest` takes.
    static func bitWidth(_ highest: Int) -> Int { Int.bitWidth - highest.leadingZeroBitCount }
}
