/// Philox4x32-10, the counter-based random generator of Salmon et al. 2011, "Parallel random
/// numbers: as easy as 1, 2, 3" (Random123, also cuRAND's and torch's).
package enum Philox {
    /// Four random words for a 128-bit counter and a 64-bit key, low word first.
    package static func block(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
        var (c, k) = (counter, key)
        for round in 0..<10 {
            if round > 0 { k &+= SIMD2(0x9E37_79B9, 0xBB67_AE85) }
            let even = UInt64(c[0]) * 0xD251_1F53
            let odd = UInt64(c[2]) * 0xCD9E_8D57
            c = SIMD4(
                UInt32(truncatingIfNeeded: odd >> 32) ^ c[1] ^ k[0],
                UInt32(truncatingIfNeeded: odd),
                UInt32(truncatingIfNeeded: even >> 32) ^ c[3] ^ k[1],
                UInt32(truncatingIfNeeded: even))
        }
        return c
    }
}

extension DropoutKey {
    /// The 16 random bits of element `index`.
    package func bits(_ index: Int) -> UInt16 {
        let position = UInt64(index / 8)
        let words = Philox.block(
            counter: SIMD4(position.low, position.high, stream.low, stream.high),
            key: SIMD2(seed.low, seed.high))
        let word = words[index % 8 / 2]
        return UInt16(truncatingIfNeeded: index % 2 == 0 ? word : word >> 16)
    }

    /// Elements whose bits are below this are dropped.
    package static func threshold(_ probability: Float) -> UInt32 {
        precondition(probability >= 0 && probability < 1, "dropout probability \(probability)")
        return UInt32((probability * 65536).rounded())
    }
}

extension UInt64 {
    fileprivate var low: UInt32 { UInt32(truncatingIfNeeded: self) }
    fileprivate var high: UInt32 { UInt32(truncatingIfNeeded: self >> 32) }
}
