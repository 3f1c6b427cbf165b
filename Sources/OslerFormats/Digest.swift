/// SHA-256 and SHA-1 (FIPS 180-4), fed in pieces: what the hub names its files by.
package struct Digest {
    package enum Kind { case sha256, sha1 }

    private let kind: Kind
    private var state: [UInt32]
    private var block = [UInt8](repeating: 0, count: 64)
    private var filled = 0
    private var byteCount: UInt64 = 0

    package init(_ kind: Kind) {
        self.kind = kind
        state =
            kind == .sha256
            ? Self.squareRoots
            : [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        byteCount &+= UInt64(bytes.count)
        var rest = bytes
        if filled > 0 {
            let count = min(64 - filled, rest.count)
            for i in 0..<count { block[filled + i] = rest[i] }
            filled += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            guard filled == 64 else { return }
            compressBlock()
        }
        while rest.count >= 64 {
            compress(UnsafeRawBufferPointer(rebasing: rest[..<64]))
            rest = UnsafeRawBufferPointer(rebasing: rest[64...])
        }
        for i in 0..<rest.count { block[i] = rest[i] }
        filled = rest.count
    }

    package mutating func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    /// Lower-case hexadecimal digits.
    package consuming func finish() -> String {
        let bits = byteCount &* 8
        block[filled] = 0x80
        filled += 1
        if filled > 56 {
            for i in filled..<64 { block[i] = 0 }
            compressBlock()
        }
        for i in filled..<56 { block[i] = 0 }
        for i in 0..<8 { block[56 + i] = UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * i)) }
        compressBlock()
        return state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private mutating func compressBlock() {
        let full = block
        full.withUnsafeBytes { compress($0) }
        filled = 0
    }

    private mutating func compress(_ bytes: UnsafeRawBufferPointer) {
        let kind = kind
        state.withUnsafeMutableBufferPointer { state in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { w in
                for i in 0..<16 {
                    let word = bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)
                    w[i] = UInt32(bigEndian: word)
                }
                switch kind {
                case .sha256:
                    Self.constants.withUnsafeBufferPointer { Self.sha256(w, state, $0) }
                case .sha1: Self.sha1(w, state)
                }
            }
        }
    }

    /// To the right; SHA-1's turns to the left are written as what they lack of 32.
    @inline(__always)
    private static func rotated(_ x: UInt32, _ count: UInt32) -> UInt32 {
        x &>> count | x &<< (32 &- count)
    }

    private static func sha256(
        _ w: UnsafeMutableBufferPointer<UInt32>, _ state: UnsafeMutableBufferPointer<UInt32>,
        _ k: UnsafeBufferPointer<UInt32>
    ) {
        for i in 16..<64 {
            let (x, y) = (w[i &- 15], w[i &- 2])
            let small = rotated(x, 7) ^ rotated(x, 18) ^ x &>> 3
            let large = rotated(y, 17) ^ rotated(y, 19) ^ y &>> 10
            w[i] = w[i &- 16] &+ small &+ w[i &- 7] &+ large
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for i in 0..<64 {
            let sum1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
            let t1 = h &+ sum1 &+ (e & f ^ ~e & g) &+ k[i] &+ w[i]
            let sum0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
            let t2 = sum0 &+ (a & b ^ a & c ^ b & c)
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ t1, c, b, a, t1 &+ t2)
        }
        let sums = (a, b, c, d, e, f, g, h)
        state[0] &+= sums.0
        state[1] &+= sums.1
        state[2] &+= sums.2
        state[3] &+= sums.3
        state[4] &+= sums.4
        state[5] &+= sums.5
        state[6] &+= sums.6
        state[7] &+= sums.7
    }

    private static func sha1(
        _ w: UnsafeMutableBufferPointer<UInt32>, _ state: UnsafeMutableBufferPointer<UInt32>
    ) {
        for i in 16..<80 {
            w[i] = rotated(w[i &- 3] ^ w[i &- 8] ^ w[i &- 14] ^ w[i &- 16], 31)
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for i in 0..<80 {
            let (f, k): (UInt32, UInt32) =
                switch i / 20 {
                case 0: (b & c | ~b & d, 0x5A82_7999)
                case 1: (b ^ c ^ d, 0x6ED9_EBA1)
                case 2: (b & c | b & d | c & d, 0x8F1B_BCDC)
                default: (b ^ c ^ d, 0xCA62_C1D6)
                }
            let next = rotated(a, 27) &+ f &+ e &+ k &+ w[i]
            (e, d, c, b, a) = (d, c, rotated(b, 2), a, next)
        }
        state[0] &+= a
        state[1] &+= b
        state[2] &+= c
        state[3] &+= d
        state[4] &+= e
    }

    private static let primes: [UInt64] = (2...311).filter { n in
        !(2..<n).contains { n.isMultiple(of: $0) }
    }

    /// The first 32 bits of the fractional parts of the square roots of the first 8 primes.
    private static let squareRoots: [UInt32] = primes.prefix(8).map { prime in
        root(of: prime, power: 2)
    }

    /// And of the cube roots of the first 64.
    private static let constants: [UInt32] = primes.map { root(of: $0, power: 3) }

    /// `floor(prime^(1/power) * 2^32) mod 2^32`, by bisection in whole numbers.
    private static func root(of prime: UInt64, power: Int) -> UInt32 {
        var (low, high): (UInt64, UInt64) = (0, 1 << 37)
        while high - low > 1 {
            let middle = (low + high) / 2
            if isAtMost(middle, prime, power) { low = middle } else { high = middle }
        }
        return UInt32(truncatingIfNeeded: low)
    }

    /// Whether `x^power <= prime * 2^(32 power)`.
    private static func isAtMost(_ x: UInt64, _ prime: UInt64, _ power: Int) -> Bool {
        var product = UInt128(x) * UInt128(x)
        if power == 3 { product *= UInt128(x) }
        return product <= UInt128(prime) << UInt128(32 * power)
    }
}
