internal import OslerFormats

/// SHA-256 (FIPS 180-4) of files.
package enum SHA256 {
    /// 64 hexadecimal digits.
    ///
    /// - Parameter progress: is told the bytes done, now and then.
    package static func ofFile(
        _ path: String, progress: (_ bytesDone: Int) -> Void = { _ in }
    ) throws -> String {
        let file = try MappedFile(path)
        var state = initial
        let piece = 64 << 20
        var place = 0
        while file.count - place > piece {
            file.withBytes { compress($0[place..<place + piece], into: &state) }
            file.release(place..<place + piece)
            place += piece
            progress(place)
        }
        return file.withBytes { finish($0[place...], count: file.count, state: &state) }
    }

    package static func of(_ bytes: [UInt8]) -> String {
        var state = initial
        return bytes.withUnsafeBytes { finish($0[...], count: $0.count, state: &state) }
    }

    /// The last bytes, the padding and the length.
    private static func finish(
        _ rest: Slice<UnsafeRawBufferPointer>, count: Int, state: inout [UInt32]
    ) -> String {
        let whole = rest.count / 64 * 64
        compress(rest.prefix(whole), into: &state)
        var tail = Array(rest.dropFirst(whole)) + [0x80]
        while tail.count % 64 != 56 { tail.append(0) }
        withUnsafeBytes(of: (UInt64(count) * 8).bigEndian) { tail += $0 }
        tail.withUnsafeBytes { compress($0[...], into: &state) }
        return state.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private static func compress(
        _ blocks: Slice<UnsafeRawBufferPointer>, into state: inout [UInt32]
    ) {
        let bytes = UnsafeRawBufferPointer(rebasing: blocks)
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
            constants.withUnsafeBufferPointer { constants in
                state.withUnsafeMutableBufferPointer { state in
                    for start in stride(from: 0, to: bytes.count, by: 64) {
                        for i in 0..<16 {
                            words[i] = UInt32(
                                bigEndian: bytes.loadUnaligned(
                                    fromByteOffset: start + 4 * i, as: UInt32.self))
                        }
                        round(words, constants, state)
                    }
                }
            }
        }
    }

    @inline(__always)
    private static func rotated(_ x: UInt32, _ count: UInt32) -> UInt32 {
        x &>> count | x &<< (32 &- count)
    }

    @inline(__always)
    private static func round(
        _ w: UnsafeMutableBufferPointer<UInt32>, _ k: UnsafeBufferPointer<UInt32>,
        _ state: UnsafeMutableBufferPointer<UInt32>
    ) {
        for i in 16..<64 {
            let (a, b) = (w[i &- 15], w[i &- 2])
            let low = rotated(a, 7) ^ rotated(a, 18) ^ a &>> 3
            let high = rotated(b, 17) ^ rotated(b, 19) ^ b &>> 10
            w[i] = w[i &- 16] &+ low &+ w[i &- 7] &+ high
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        var (e, f, g, h) = (state[4], state[5], state[6], state[7])
        for i in 0..<64 {
            let high = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
            let first = h &+ high &+ (e & f ^ ~e & g) &+ k[i] &+ w[i]
            let low = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
            let second = low &+ (a & b ^ a & c ^ b & c)
            (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
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

    private static let primes: [UInt64] = (2...311).filter { n in
        !(2..<n).contains { n.isMultiple(of: $0) }
    }

    /// The first 32 bits behind the point of the square roots of the first 8 primes.
    private static let initial = primes.prefix(8).map { fraction(of: $0, power: 2) }
    /// And of the cube roots of the first 64.
    private static let constants = primes.map { fraction(of: $0, power: 3) }

    /// `floor(prime^(1/power) 2^32) mod 2^32`, bit by bit in whole numbers.
    private static func fraction(of prime: UInt64, power: Int) -> UInt32 {
        var root: UInt128 = 0
        for bit in (0..<37).reversed() {
            let next = root | 1 << UInt128(bit)
            let product = power == 2 ? next * next : next * next * next
            if product <= UInt128(prime) << UInt128(32 * power) { root = next }
        }
        return UInt32(truncatingIfNeeded: root)
    }
}
