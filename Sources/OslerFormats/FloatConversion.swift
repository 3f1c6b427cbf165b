/// Conversions between float32 and the 16-bit formats, rounding to nearest even as torch does.
///
/// Branch-free loops over bits that the compiler vectorises; `source` may be unaligned and holds
/// as many elements as the output.
package enum FloatConversion {
    /// bfloat16 is the upper half of float32.
    @inline(__always)
    package static func float(bfloat16 bits: UInt16) -> Float {
        Float(bitPattern: UInt32(bits) << 16)
    }

    /// Rounds to nearest even; a NaN stays one (quiet, 0x7FC0 as in torch).
    @inline(__always)
    package static func bfloat16(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let rounded = bits &+ 0x7FFF &+ (bits >> 16 & 1)
        return UInt16(truncatingIfNeeded: value.isNaN ? 0x7FC0 : rounded >> 16)
    }

    /// The value to bfloat16 and back.
    @inline(__always)
    package static func rounded(_ value: Float) -> Float { float(bfloat16: bfloat16(value)) }

    /// Widening by one multiplication: shifted into float32's fields a half has an exponent that
    /// is 112 too small, for subnormals too; infinities and NaNs get the full exponent.
    @inline(__always)
    package static func float(float16 bits: UInt16) -> Float {
        let magnitude = UInt32(bits & 0x7FFF) << 13
        let scaled = Float(bitPattern: magnitude) * 0x1p112
        let special: UInt32 = bits & 0x7C00 == 0x7C00 ? 0x7F80_0000 : 0
        return Float(bitPattern: scaled.bitPattern | special | UInt32(bits & 0x8000) << 16)
    }

    /// Rounds to nearest even; beyond 65504 to infinity, NaNs to 0x7E00 with their sign.
    @inline(__always)
    package static func float16(_ value: Float) -> UInt16 {
        let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16 & 0x8000)
        let magnitude = value.bitPattern & 0x7FFF_FFFF
        // Normal halves: round away 13 bits, then move the exponent by 112.
        let normal = (magnitude &+ 0xFFF &+ (magnitude >> 13 & 1)) >> 13 &- (112 << 10)
        // Subnormal halves: adding 0.5 makes the hardware round at 2^-24.
        let subnormal = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3F00_0000
        let special: UInt32 = magnitude > 0x7F80_0000 ? 0x7E00 : 0x7C00
        let finite = magnitude < 0x3880_0000 ? subnormal : normal
        let result = magnitude >= 0x4780_0000 ? special : finite
        return sign | UInt16(truncatingIfNeeded: result)
    }

    package static func bfloat16ToFloat(
        _ source: UnsafeRawBufferPointer, _ output: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(source.count == output.count * 2)
        for i in output.indices {
            output[i] = float(
                bfloat16: source.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self))
        }
    }

    package static func float16ToFloat(
        _ source: UnsafeRawBufferPointer, _ output: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(source.count == output.count * 2)
        for i in output.indices {
            output[i] = float(
                float16: source.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self))
        }
    }

    package static func doubleToFloat(
        _ source: UnsafeRawBufferPointer, _ output: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(source.count == output.count * 8)
        for i in output.indices {
            output[i] = Float(source.loadUnaligned(fromByteOffset: i * 8, as: Double.self))
        }
    }

    package static func floatToBFloat16(
        _ source: UnsafeBufferPointer<Float>, _ output: UnsafeMutableBufferPointer<UInt16>
    ) {
        precondition(source.count == output.count)
        for i in output.indices { output[i] = bfloat16(source[i]) }
    }

    package static func floatToFloat16(
        _ source: UnsafeBufferPointer<Float>, _ output: UnsafeMutableBufferPointer<UInt16>
    ) {
        precondition(source.count == output.count)
        for i in output.indices { output[i] = float16(source[i]) }
    }
}
