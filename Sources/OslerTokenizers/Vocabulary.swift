/// The tokens of a vocabulary as bytes, found by id or by bytes.
final class Vocabulary: Sendable {
    /// One more than the largest id.
    let size: Int
    /// Bytes of all tokens, one behind the other; token `id` is `starts[id]..<starts[id + 1]`.
    private let blob: ConstantTable<UInt8>
    private let starts: ConstantTable<UInt32>
    /// Open addressing by a hash of the bytes: ids, or -1. Only tokens that BPE can make are here.
    private let slots: ConstantTable<Int32>
    private let mask: Int

    /// - Parameters:
    ///   - bytes: the tokens' bytes, in the order of their ids; empty where an id is unused.
    ///   - isMergeable: whether BPE can produce the token (not so for added tokens).
    init(blob: [UInt8], starts: [UInt32], isMergeable: (Int) -> Bool) {
        size = starts.count - 1
        self.blob = ConstantTable(blob)
        self.starts = ConstantTable(starts)
        var capacity = 16
        while capacity < size * 2 { capacity *= 2 }
        let mask = capacity - 1
        self.mask = mask
        slots = ConstantTable(repeating: -1, count: capacity) { slots in
            blob.withUnsafeBufferPointer { blob in
                guard let base = blob.baseAddress else { return }
                for id in 0..<(starts.count - 1) where isMergeable(id) {
                    let (start, end) = (Int(starts[id]), Int(starts[id + 1]))
                    if start == end { continue }
                    var slot = Int(truncatingIfNeeded: hash(base + start, end - start)) & mask
                    while slots[slot] >= 0 { slot = (slot + 1) & mask }
                    slots[slot] = Int32(truncatingIfNeeded: id)
                }
            }
        }
    }

    @inline(__always) func bytes(of id: Int32) -> UnsafeBufferPointer<UInt8> {
        guard id >= 0, Int(id) < size else { return UnsafeBufferPointer(start: nil, count: 0) }
        let start = Int(starts[Int(id)])
        return UnsafeBufferPointer(
            start: blob.base + start, count: Int(starts[Int(id) + 1]) - start)
    }

    /// The id of the mergeable token with these bytes; -1 if there is none.
    @inline(__always) func id(of bytes: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        var slot = Int(truncatingIfNeeded: hash(bytes, count)) & mask
        while true {
            let id = slots[slot]
            if id < 0 { return -1 }
            let token = self.bytes(of: id)
            if token.count == count, let base = token.baseAddress, equal(base, bytes, count) {
                return id
            }
            slot = (slot + 1) & mask
        }
    }
}

@inline(__always)
private func equal(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    for i in 0..<count where a[i] != b[i] { return false }
    return true
}

/// Eight bytes at a time, each multiplied in; good enough for a table of words.
@inline(__always) private func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    var state = UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
    var i = 0
    let raw = UnsafeRawPointer(bytes)
    while i + 8 <= count {
        state = mixed(state ^ raw.loadUnaligned(fromByteOffset: i, as: UInt64.self))
        i += 8
    }
    var tail: UInt64 = 0
    while i < count {
        tail = tail << 8 | UInt64(bytes[i])
        i += 1
    }
    return mixed(state ^ tail)
}

/// A 64-bit mixing step: the high bits of the product folded back.
@inline(__always) func mixed(_ x: UInt64) -> UInt64 {
    let product = x &* 0xD6E8_FEB8_6659_FD93
    return product ^ (product >> 32)
}
