// Stands in for the generators of OslerFormats until they are there.

func numpyPermutation(_ count: Int, seed: UInt64) -> [Int] {
    var generator = PCG64(seed: seed)
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, generator.below(i)) }
    return order
}

func torchPermutation(_ count: Int, seed: UInt64) -> [Int] {
    var generator = MT19937(seed: UInt32(truncatingIfNeeded: seed))
    var order = Array(0..<count)
    for i in 0..<max(0, count - 1) { order.swapAt(i, i + Int(generator.next()) % (count - i)) }
    return order
}

private struct PCG64 {
    private var state: UInt128 = 0
    private var increment: UInt128
    private var kept: UInt32?

    init(seed: UInt64) {
        let words = Self.sequence(seed)
        increment = (UInt128(words[2]) << 64 | UInt128(words[3])) << 1 | 1
        step()
        state &+= UInt128(words[0]) << 64 | UInt128(words[1])
        step()
    }

    private mutating func step() {
        state = state &* (0x2360_ED05_1FC6_5DA4 << 64 | 0x4385_DF64_9FCC_F645) &+ increment
    }

    private mutating func next() -> UInt32 {
        if let word = kept {
            kept = nil
            return word
        }
        step()
        let x = UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state)
        let turn = UInt64(truncatingIfNeeded: state >> 122)
        let value = x >> turn | x << ((64 &- turn) & 63)
        kept = UInt32(truncatingIfNeeded: value >> 32)
        return UInt32(truncatingIfNeeded: value)
    }

    mutating func below(_ limit: Int) -> Int {
        let mask = UInt32.max >> UInt32(limit).leadingZeroBitCount
        while true {
            let value = next() & mask
            if value <= limit { return Int(value) }
        }
    }

    private static func sequence(_ seed: UInt64) -> [UInt64] {
        let entropy = [
            UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32), 0, 0,
        ]
        var constant: UInt32 = 0x43B0_D7E5
        func hash(_ value: UInt32) -> UInt32 {
            var value = value ^ constant
            constant = constant &* 0x931E_8875
            value = value &* constant
            return value ^ value >> 16
        }
        var pool = entropy.map(hash)
        for from in 0..<4 {
            for to in 0..<4 where from != to {
                let mixed = 0xCA01_F9DD &* pool[to] &- 0x4973_F715 &* hash(pool[from])
                pool[to] = mixed ^ mixed >> 16
            }
        }
        constant = 0x8B51_F9DD
        let words = (0..<8).map { index in
            var value = pool[index % 4] ^ constant
            constant = constant &* 0x58F3_8DED
            value = value &* constant
            return value ^ value >> 16
        }
        return (0..<4).map { UInt64(words[2 * $0]) | UInt64(words[2 * $0 + 1]) << 32 }
    }
}

private struct MT19937 {
    private var words: [UInt32]
    private var index = 624

    init(seed: UInt32) {
        words = [seed]
        for i in 1..<624 {
            words.append(1_812_433_253 &* (words[i - 1] ^ words[i - 1] >> 30) &+ UInt32(i))
        }
    }

    mutating func next() -> UInt32 {
        if index == 624 {
            for k in 0..<624 {
                let y = words[k] & 0x8000_0000 | words[(k + 1) % 624] & 0x7FFF_FFFF
                words[k] = words[(k + 397) % 624] ^ y >> 1 ^ (y & 1 == 0 ? 0 : 0x9908_B0DF)
            }
            index = 0
        }
        var y = words[index]
        index += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C_5680
        y ^= y << 15 & 0xEFC6_0000
        return y ^ y >> 18
    }
}
