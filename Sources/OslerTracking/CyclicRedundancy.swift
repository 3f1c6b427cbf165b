/// A 32-bit cyclic redundancy check, bits in reflected order.
package struct CyclicRedundancy: Sendable {
    private let table: [UInt32]

    /// That of gzip and of wandb's log.
    package static let ethernet = Self(reflectedPolynomial: 0xEDB8_8320)
    /// CRC-32C (RFC 3720), that of TensorFlow's record files.
    package static let castagnoli = Self(reflectedPolynomial: 0x82F6_3B78)

    private init(reflectedPolynomial: UInt32) {
        table = (0..<256).map { byte in
            (0..<8).reduce(UInt32(byte)) { value, _ in
                value & 1 == 0 ? value >> 1 : value >> 1 ^ reflectedPolynomial
            }
        }
    }

    package func callAsFunction(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~0) { value, byte in
            table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] ^ value >> 8
        }
    }
}
