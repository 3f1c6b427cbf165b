/// The upper half of a float32: 1 sign, 8 exponent and 7 mantissa bits.
package enum BFloat16 {
    /// Rounds to the nearest, ties to even; a NaN stays a (quiet) NaN.
    package static func bits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }

    package static func float(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

    /// `value` rounded to bfloat16.
    package static func rounded(_ value: Float) -> Float { float(bits(value)) }
}

extension DType {
    /// `value` in this 16-bit type, rounded to the nearest, ties to even; what is too large for
    /// float16 becomes infinite.
    package func bits(_ value: Float) -> UInt16 {
        switch self {
        case .bfloat16: BFloat16.bits(value)
        case .float16: Float16(value).bitPattern
        case .float32, .int32, .uint8: preconditionFailure("\(self) is no 16-bit float")
        }
    }

    package func float(_ bits: UInt16) -> Float {
        switch self {
        case .bfloat16: BFloat16.float(bits)
        case .float16: Float(Float16(bitPattern: bits))
        case .float32, .int32, .uint8: preconditionFailure("\(self) is no 16-bit float")
        }
    }

    /// `value` rounded to this type.
    package func rounded(_ value: Float) -> Float {
        self == .float32 ? value : float(bits(value))
    }
}
