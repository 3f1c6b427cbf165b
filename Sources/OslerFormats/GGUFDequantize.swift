/// Dequantization of ggml's block formats. Scales come out of their half precision first, then
/// every value takes one product (and one sum), all in float32, as in gguf-py.
enum GGUFDequantize {
    /// F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
    static let known = [0, 1, 30, 2, 3, 6, 7, 8, 12, 13, 14].compactMap { GGUFType($0) }

    typealias Output = UnsafeMutableBufferPointer<Float>

    /// All blocks of `source` into `output`; false for a type that isn't known.
    static func run(_ type: GGUFType, _ source: UnsafeRawBufferPointer, _ output: Output) -> Bool {
        precondition(source.count / type.blockBytes * type.blockCount == output.count)
        switch type.name {
        case "F32": UnsafeMutableRawBufferPointer(output).copyMemory(from: source)
        case "F16": FloatConversion.float16ToFloat(source, output)
        case "BF16": FloatConversion.bfloat16ToFloat(source, output)
        case "Q4_0": blocks(source, output, type) { q4_0($0, $1) }
        case "Q4_1": blocks(source, output, type) { q4_1($0, $1) }
        case "Q5_0": blocks(source, output, type) { q5_0($0, $1) }
        case "Q5_1": blocks(source, output, type) { q5_1($0, $1) }
        case "Q8_0": blocks(source, output, type) { q8_0($0, $1) }
        case "Q4_K": blocks(source, output, type) { q4_K($0, $1) }
        case "Q5_K": blocks(source, output, type) { q5_K($0, $1) }
        case "Q6_K": blocks(source, output, type) { q6_K($0, $1) }
        default: return false
        }
        return true
    }

    @inline(__always)
    private static func blocks(
        _ source: UnsafeRawBufferPointer, _ output: Output, _ type: GGUFType,
        _ block: (UnsafePointer<UInt8>, UnsafeMutablePointer<Float>) -> Void
    ) {
        guard let from = source.baseAddress, let to = output.baseAddress else { return }
        let (bytes, values) = (type.blockBytes, type.blockCount)
        for i in 0..<(output.count / values) {
            block((from + i * bytes).assumingMemoryBound(to: UInt8.self), to + i * values)
        }
    }

    @inline(__always)
    private static func half(_ bytes: UnsafePointer<UInt8>) -> Float {
        FloatConversion.float(float16: UInt16(bytes[0]) | UInt16(bytes[1]) << 8)
    }

    // MARK: Blocks of 32: value i in the low half of byte i, value 16 + i in the high half

    @inline(__always)
    private static func q4_0(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let scale = half(b)
        for i in 0..<16 {
            let byte = Int32(b[2 + i])
            out[i] = scale * Float(byte & 15 - 8)
            out[16 + i] = scale * Float(byte >> 4 - 8)
        }
    }

    @inline(__always)
    private static func q4_1(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let (scale, minimum) = (half(b), half(b + 2))
        for i in 0..<16 {
            let byte = Int32(b[4 + i])
            out[i] = scale * Float(byte & 15) + minimum
            out[16 + i] = scale * Float(byte >> 4) + minimum
        }
    }

    /// The fifth bits of 32 values.
    @inline(__always)
    private static func fifthBits(_ b: UnsafePointer<UInt8>) -> UInt32 {
        UInt32(b[0]) | UInt32(b[1]) << 8 | UInt32(b[2]) << 16 | UInt32(b[3]) << 24
    }

    @inline(__always)
    private static func q5_0(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let (scale, high) = (half(b), fifthBits(b + 2))
        for i in 0..<16 {
            let byte = UInt32(b[6 + i])
            let (fifth, fifth16) = (high >> UInt32(i) & 1, high >> UInt32(16 + i) & 1)
            out[i] = scale * Float(Int32(bitPattern: byte & 15 | fifth << 4) - 16)
            out[16 + i] = scale * Float(Int32(bitPattern: byte >> 4 | fifth16 << 4) - 16)
        }
    }

    @inline(__always)
    private static func q5_1(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let (scale, minimum, high) = (half(b), half(b + 2), fifthBits(b + 4))
        for i in 0..<16 {
            let byte = UInt32(b[8 + i])
            let (fifth, fifth16) = (high >> UInt32(i) & 1, high >> UInt32(16 + i) & 1)
            out[i] = scale * Float(byte & 15 | fifth << 4) + minimum
            out[16 + i] = scale * Float(byte >> 4 | fifth16 << 4) + minimum
        }
    }

    @inline(__always)
    private static func q8_0(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let scale = half(b)
        for i in 0..<32 { out[i] = scale * Float(Int8(bitPattern: b[2 + i])) }
    }

    // MARK: Blocks of 256 in sub-blocks that have scales of their own

    /// Scale and minimum of sub-block `j` (0 to 7), six bits each: the first four in six-bit
    /// fields, the others in four bits of their own and the two bits left over in the first ones.
    @inline(__always)
    private static func scaleAndMinimum(_ s: UnsafePointer<UInt8>, _ j: Int) -> (Float, Float) {
        if j < 4 { return (Float(s[j] & 63), Float(s[j + 4] & 63)) }
        let scale = s[j + 4] & 15 | s[j - 4] >> 2 & 0x30
        let minimum = s[j + 4] >> 4 | s[j] >> 2 & 0x30
        return (Float(scale), Float(minimum))
    }

    /// Sub-blocks of 32: pairs of them share 32 bytes, the even one in the low halves.
    @inline(__always)
    private static func q4_K(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let (scale, minimum) = (half(b), half(b + 2))
        for j in 0..<8 {
            let (s, m) = scaleAndMinimum(b + 4, j)
            let (d, dm) = (scale * s, minimum * m)
            let (values, shift) = (b + 16 + j / 2 * 32, UInt8(j & 1) * 4)
            for i in 0..<32 { out[32 * j + i] = d * Float(values[i] >> shift & 15) - dm }
        }
    }

    /// As Q4_K, with bit `j` of 32 more bytes as the fifth bit of sub-block `j`.
    @inline(__always)
    private static func q5_K(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let (scale, minimum, high) = (half(b), half(b + 2), b + 16)
        for j in 0..<8 {
            let (s, m) = scaleAndMinimum(b + 4, j)
            let (d, dm) = (scale * s, minimum * m)
            let (values, shift) = (b + 48 + j / 2 * 32, UInt8(j & 1) * 4)
            for i in 0..<32 {
                let fifth = high[i] >> UInt8(j) & 1
                out[32 * j + i] = d * Float(values[i] >> shift & 15 | fifth << 4) - dm
            }
        }
    }

    /// Two halves of 128, each four runs of 32: low four bits in 64 bytes (runs 0 and 1 in the low
    /// halves), high two bits of run r at bit 2 r of 32 bytes; a signed scale for every 16 values.
    @inline(__always)
    private static func q6_K(_ b: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<Float>) {
        let scale = half(b + 208)
        for run in 0..<8 {
            let (part, r) = (run / 4, run % 4)
            let (low, lowShift) = (b + 64 * part + 32 * (r & 1), UInt8(r / 2) * 4)
            let (high, highShift) = (b + 128 + 32 * part, UInt8(r) * 2)
            for group in 0..<2 {
                let d = scale * Float(Int8(bitPattern: b[192 + 2 * run + group]))
                for i in (16 * group)..<(16 * group + 16) {
                    let bits = low[i] >> lowShift & 15 | (high[i] >> highShift & 3) << 4
                    out[32 * run + i] = d * Float(Int32(bits) - 32)
                }
            }
        }
    }
}
