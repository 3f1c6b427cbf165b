/// Which pairs of tokens merge, in which order, into what: an open-addressing table keyed by both
/// ids packed into 64 bits. A look-up reads one cache line in the usual case.
final class MergeTable: Sendable {
    /// No such merge.
    static let none = UInt64.max

    private struct Entry: BitwiseCopyable {
        var pair: UInt64
        /// Rank in the upper 32 bits, the merged token's id in the lower.
        var value: UInt64
    }

    private let entries: ConstantTable<Entry>
    private let mask: Int

    /// - Parameter merges: in order of rank. Of a pair named twice the later one counts, as in a
    ///   dictionary.
    init(_ merges: [(left: Int32, right: Int32, merged: Int32)]) {
        var capacity = 16
        while capacity < merges.count * 2 { capacity *= 2 }
        let mask = capacity - 1
        self.mask = mask
        entries = ConstantTable(
            repeating: Entry(pair: .max, value: Self.none), count: capacity
        ) { entries in
            for (rank, merge) in merges.enumerated() {
                let pair = Self.key(merge.left, merge.right)
                var slot = Int(truncatingIfNeeded: mixed(pair)) & mask
                while entries[slot].pair != .max, entries[slot].pair != pair {
                    slot = (slot + 1) & mask
                }
                let value = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: merge.merged))
                entries[slot] = Entry(pair: pair, value: value)
            }
        }
    }

    @inline(__always) private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// `rank << 32 | id` of what the two merge into, so that the smaller comes first; or `none`.
    @inline(__always) func value(_ left: Int32, _ right: Int32) -> UInt64 {
        let pair = Self.key(left, right)
        var slot = Int(truncatingIfNeeded: mixed(pair)) & mask
        while true {
            let entry = entries[slot]
            if entry.pair == pair { return entry.value }
            if entry.pair == .max { return Self.none }
            slot = (slot + 1) & mask
        }
    }
}
