/// Remembers the ids of short pieces: text repeats its words. Direct-mapped: a piece that falls on
/// another's place takes it, so the size is fixed (2 MB) and nothing has to be evicted.
///
/// `@unchecked Sendable` holds because one call uses it at a time: `TextEncoder` lends it out.
final class PieceCache: @unchecked Sendable {
    static let maximalBytes = 15
    static let maximalIds = 11
    private static let lines = 1 << 15

    /// 64 bytes, a cache line: up to 15 bytes of text with their number, then the ids.
    private let words: UnsafeMutablePointer<UInt64>

    init() {
        words = .allocate(capacity: Self.lines * 8)
        words.initialize(repeating: 0, count: Self.lines * 8)
    }

    deinit { words.deallocate() }

    struct Key {
        var low: UInt64
        var high: UInt64
        var line: Int
    }

    /// - Parameter count: 1 to 15.
    @inline(__always) func key(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Key {
        var (low, high): (UInt64, UInt64) = (0, 0)
        let raw = UnsafeRawPointer(bytes)
        if count >= 8 {
            // Two overlapping words hold 8 to 15 bytes.
            low = raw.loadUnaligned(as: UInt64.self)
            high = raw.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
            high = count == 8 ? 0 : high >> UInt64((16 - count) * 8)
        } else {
            for i in 0..<count { low |= UInt64(bytes[i]) << UInt64(i * 8) }
        }
        high |= UInt64(count) << 56
        let line = Int(truncatingIfNeeded: mixed(low ^ mixed(high))) & (Self.lines - 1)
        return Key(low: low, high: high, line: line)
    }

    /// Appends the ids of the piece, if they are known.
    @inline(__always) func append(_ key: Key, to ids: inout [Int32]) -> Bool {
        let line = words + key.line * 8
        guard line[0] == key.low, line[1] == key.high else { return false }
        let values = UnsafeRawPointer(line).assumingMemoryBound(to: Int32.self)
        let count = Int(values[4])
        if count == 1 {
            ids.append(values[5])
        } else {
            for i in 0..<count { ids.append(values[5 + i]) }
        }
        return true
    }

    func store(_ key: Key, _ found: ArraySlice<Int32>) {
        guard found.count <= Self.maximalIds else { return }
        let line = words + key.line * 8
        (line[0], line[1]) = (key.low, key.high)
        let values = UnsafeMutableRawPointer(line).assumingMemoryBound(to: Int32.self)
        values[4] = Int32(found.count)
        for (i, id) in found.enumerated() { values[5 + i] = id }
    }
}
