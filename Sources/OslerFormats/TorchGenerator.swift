/// The random stream of torch's CPU generator after `manual_seed(seed)`: MT19937 (Matsumoto and
/// Nishimura 1998).
package struct TorchGenerator: Sendable {
    private var words: [UInt32]
    private var position = 624

    /// Only the low 32 bits of the seed count, as in torch.
    package init(seed: UInt64) {
        var word = UInt32(truncatingIfNeeded: seed)
        words = [word]
        for i in 1..<624 {
            word = 1_812_433_253 &* (word ^ word >> 30) &+ UInt32(i)
            words.append(word)
        }
    }

    package mutating func next32() -> UInt32 {
        if position == 624 { refill() }
        var y = words[position]
        position += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C_5680
        y ^= y << 15 & 0xEFC6_0000
        return y ^ y >> 18
    }

    private mutating func refill() {
        for k in 0..<624 {
            let y = words[k] & 0x8000_0000 | words[(k + 1) % 624] & 0x7FFF_FFFF
            words[k] = words[(k + 397) % 624] ^ y >> 1 ^ (y & 1 == 0 ? 0 : 0x9908_B0DF)
        }
        position = 0
    }

    /// The first draw is the high half.
    package mutating func next64() -> UInt64 {
        let high = UInt64(next32())
        return high << 32 | UInt64(next32())
    }

    /// One element of `torch.rand`: 24 bits in [0, 1). With `low` and `high`, one of `uniform_`,
    /// which torch's builds for x86 with FMA round once.
    package mutating func nextFloat(low: Float = 0, high: Float = 1) -> Float {
        low.addingProduct(Float(next32() & 0xFF_FFFF) * 0x1p-24, high - low)
    }

    /// `torch.randperm(count)`: 0 to count - 1 shuffled from the front. The remainder's small bias
    /// is torch's; from 2^32 / 20 elements on it draws 64 bits.
    package mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        let isSmall = count < Int(UInt32.max) / 20
        for i in 0..<max(0, count - 1) {
            let draw = isSmall ? UInt64(next32()) : next64()
            order.swapAt(i, i + Int(draw % UInt64(count - i)))
        }
        return order
    }
}
