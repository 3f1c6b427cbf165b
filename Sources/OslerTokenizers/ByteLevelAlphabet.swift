/// GPT-2's spelling of bytes as printable characters, in which vocabularies and merges are written:
/// printable Latin-1 stands for itself, the other 68 bytes are U+0100 and on, in order.
enum ByteLevelAlphabet {
    /// The scalar (below U+0144) that spells a byte.
    static let scalars: [UInt16] = {
        var next: UInt16 = 0x100
        return (0..<256).map { byte in
            if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE {
                return UInt16(byte)
            }
            defer { next += 1 }
            return next
        }
    }()

    /// The byte that a scalar below U+0144 spells; -1 if it spells none.
    static let bytes: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
        return table
    }()

    /// Appends the bytes that `spelling` (UTF-8) stands for; false, with `bytes` as it was, if it
    /// has a character outside the alphabet.
    static func append(
        _ spelling: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8], table: [Int16]
    ) -> Bool {
        let start = bytes.count
        var i = 0
        while i < spelling.count {
            var scalar = Int(spelling[i])
            i += 1
            if scalar >= 0xC0, scalar < 0xE0, i < spelling.count {
                scalar = (scalar & 0x1F) << 6 | Int(spelling[i] & 0x3F)
                i += 1
            } else if scalar >= 0x80 {
                scalar = Int.max
            }
            guard scalar < table.count, table[scalar] >= 0 else {
                bytes.removeSubrange(start...)
                return false
            }
            bytes.append(UInt8(truncatingIfNeeded: table[scalar]))
        }
        return true
    }

    static func spelling(of bytes: some Sequence<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        for byte in bytes {
            if let scalar = Unicode.Scalar(scalars[Int(byte)]) { text.append(scalar) }
        }
        return String(text)
    }
}
