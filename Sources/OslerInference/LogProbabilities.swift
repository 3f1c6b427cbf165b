internal import OslerCompute

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
    return Float(Double(logits[Int(id)]) - Double(top) - log(exponentialSum(logits, top: top)))
}

/// The largest value; NaN counts as the smallest.
func largest(_ values: UnsafeBufferPointer<Float>) -> Float {
    guard let base = values.baseAddress else { return -.infinity }
    let raw = UnsafeRawPointer(base)
    var lanes = SIMD16<Float>(repeating: -.infinity)
    var index = 0
    while index + 16 <= values.count {
        let x = raw.loadUnaligned(fromByteOffset: 4 * index, as: SIMD16<Float>.self)
        lanes.replace(with: x, where: x .> lanes)
        index += 16
    }
    return values[index...].reduce(lanes.max()) { $1 > $0 ? $1 : $0 }
}
