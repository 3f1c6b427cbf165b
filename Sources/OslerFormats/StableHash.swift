/// 128 bits of FNV-1a: the same on every machine and in every version. Two of a billion different contents share one
/// with a chance of 1e-21; nobody is kept from making such two.
package struct StableHash: Hashable, Sendable, CustomStringConvertible {
    private var low: UInt64 = 0xcbf2_9ce4_8422_2325
    private var high: UInt64 = 0x8422_2325_cbf2_9ce4

    package init() {}

    /// Appends a number: a byte, a token.
    package mutating func add(_ value: UInt64) {
        low = (low ^ value) &* 0x100_0000_01b3
        high = (high ^ value) &* 0x9e37_79b9_7f4a_7c15
        high ^= high >> 29
    }

    /// 32 hexadecimal digits.
    package var description: String {
        [high, low].map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
