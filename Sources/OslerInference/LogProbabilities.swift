#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// `log softmax(logits)`, summed in double precision.
package func logSoftmax(_ logits: ArraySlice<Float>) -> [Double] {
    let top = Double(logits.max() ?? 0)
    let logSum = top + log(logits.reduce(0.0) { $0 + exp(Double($1) - top) })
    return logits.map { Double($0) - logSum }
}

/// `log softmax(logits)[id]`.
package func logProbability(of id: Int32, _ logits: UnsafeBufferPointer<Float>) -> Float {
    let top = largest(logits)
    var sum = 0.0
    forEachExponential(logits, top: top, scale: 1) { values, _, _ in sum += Double(values.sum()) }
    return Float(Double(logits[Int(id)]) - Double(top) - log(sum))
}

/// The largest value; NaN counts as the smallest.
func largest(_ values: UnsafeBufferPointer<Float>) -> Float {
    var lanes = SIMD16<Float>(repeating: -.infinity)
    forEachSixteen(values, padding: -.infinity) { x, _, _ in
        lanes.replace(with: x, where: x .> lanes)
    }
    return lanes.max()
}

/// `exp(scale * (value - top))` to 2 ulp, 16 values at a time, 0 beyond the end: `body(values, first index, count)`.
/// Exponents below -87 count as -87: e^-87 of a sum that holds a 1 is nothing.
@inline(__always)
func forEachExponential(
    _ values: UnsafeBufferPointer<Float>, top: Float, scale: Float,
    _ body: (_ values: SIMD16<Float>, _ first: Int, _ count: Int) -> Void
) {
    forEachSixteen(values, padding: -.infinity) { x, first, count in
        var result = exponential((x - top) * scale)
        if count < 16 {
            let lanes = SIMD16<Int32>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
            result.replace(with: 0, where: lanes .>= SIMD16(repeating: Int32(count)))
        }
        body(result, first, count)
    }
}

@inline(__always)
func forEachSixteen(
    _ values: UnsafeBufferPointer<Float>, padding: Float,
    _ body: (_ values: SIMD16<Float>, _ first: Int, _ count: Int) -> Void
) {
    guard let base = values.baseAddress else { return }
    let raw = UnsafeRawPointer(base)
    var index = 0
    while index + 16 <= values.count {
        body(raw.loadUnaligned(fromByteOffset: 4 * index, as: SIMD16<Float>.self), index, 16)
        index += 16
    }
    guard index < values.count else { return }
    var rest = SIMD16<Float>(repeating: padding)
    for lane in 0..<values.count - index { rest[lane] = base[index + lane] }
    body(rest, index, values.count - index)
}

/// e^x for x <= 0: x = n ln 2 + r, a polynomial of degree 6 in r (as the kernels have it).
@inline(__always)
private func exponential(_ x: SIMD16<Float>) -> SIMD16<Float> {
    let y = x.replacing(with: -87, where: .!(x .>= -87))
    let magic: Float = 12_582_912  // 1.5 * 2^23: adding it rounds to a whole number
    let n = (y * 1.442_695_04 + magic) - magic
    let r = (y - n * 0.693_359_375) - n * -2.121_944_40e-4
    var p = 1.987_569_150_0e-4 * r + 1.398_199_950_7e-3
    p = p * r + 8.333_451_907_3e-3
    p = p * r + 4.166_579_589_4e-2
    p = p * r + 1.666_666_545_9e-1
    p = p * r + 5.000_000_120_1e-1
    p = (p * (r * r) + r) + 1
    // 2^23 more puts the whole number n + 127 into the lowest bits.
    let power = unsafeBitCast(n + (8_388_608 + 127), to: SIMD16<UInt32>.self)
    return p * unsafeBitCast(power &<< 23, to: SIMD16<Float>.self)
}
