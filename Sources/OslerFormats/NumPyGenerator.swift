/// The random stream of `numpy.random.default_rng(seed)`: PCG64 (O'Neill 2014, XSL-RR) seeded by
/// `SeedSequence`, which `datasets` shuffles and splits with.
package struct NumPyGenerator: Sendable {
    private var state: UInt128
    private let increment: UInt128
    /// The high half of the last 64 bits, when only the low one has been used.
    private var leftover: UInt32?

    private static let multiplier: UInt128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645

    package init(seed: UInt64) {
        let words = SeedSequence.words(entropy: seed)
        let start = UInt128(words[0]) << 64 | UInt128(words[1])
        let sequence = UInt128(words[2]) << 64 | UInt128(words[3])
        increment = sequence << 1 | 1
        state = (increment &+ start) &* Self.multiplier &+ increment
    }

    package mutating func next64() -> UInt64 {
        state = state &* Self.multiplier &+ increment
        let folded = UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state)
        let rotation = UInt64(truncatingIfNeeded: state >> 122)
        return folded &>> rotation | folded &<< (64 &- rotation)
    }

    /// The low half of 64 bits first, then the high half.
    package mutating func next32() -> UInt32 {
        if let value = leftover {
            leftover = nil
            return value
        }
        let value = next64()
        leftover = UInt32(truncatingIfNeeded: value >> 32)
        return UInt32(truncatingIfNeeded: value)
    }

    /// A number from 0 to `bound`, both included: draws are masked and those beyond rejected.
    package mutating func next(through bound: UInt64) -> UInt64 {
        if bound == 0 { return 0 }
        let mask = UInt64.max >> UInt64(bound.leadingZeroBitCount)
        while true {
            let value = (bound <= UInt64(UInt32.max) ? UInt64(next32()) : next64()) & mask
            if value <= bound { return value }
        }
    }

    /// `Generator.permutation(count)`: 0 to count - 1 shuffled from the end.
    package mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        for i in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(i, Int(next(through: UInt64(i))))
        }
        return order
    }
}

/// numpy's `SeedSequence`: spreads a seed over a pool of four words, then draws words from it.
private enum SeedSequence {
    private static let poolSize = 4

    /// `SeedSequence(entropy).generate_state(4, uint64)`.
    static func words(entropy: UInt64) -> [UInt64] {
        let pool = pool(entropy)
        var hash: UInt32 = 0x8B51_F9DD
        let halves = (0..<8).map { i in
            var value = pool[i % poolSize] ^ hash
            hash = hash &* 0x58F3_8DED
            value = value &* hash
            return UInt64(value ^ value >> 16)
        }
        return (0..<4).map { halves[2 * $0] | halves[2 * $0 + 1] << 32 }
    }

    private static func pool(_ entropy: UInt64) -> [UInt32] {
        var hash: UInt32 = 0x43B0_D7E5
        func hashed(_ value: UInt32) -> UInt32 {
            var value = value ^ hash
            hash = hash &* 0x931E_8875
            value = value &* hash
            return value ^ value >> 16
        }
        func mixed(_ x: UInt32, _ y: UInt32) -> UInt32 {
            let result = 0xCA01_F9DD &* x &- 0x4973_F715 &* y
            return result ^ result >> 16
        }
        // A seed of 32 bits or less is one word; missing words count as zeros.
        let low = UInt32(truncatingIfNeeded: entropy)
        let high = UInt32(truncatingIfNeeded: entropy >> 32)
        var pool = [low, high, 0, 0].map(hashed)
        for source in 0..<poolSize {
            for target in 0..<poolSize where source != target {
                pool[target] = mixed(pool[target], hashed(pool[source]))
            }
        }
        return pool
    }
}
