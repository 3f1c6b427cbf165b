#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// `log softmax(logits)`, summed in double precision.
func logSoftmax(_ logits: ArraySlice<Float>) -> [Double] {
    let top = Double(logits.max() ?? 0)
    let logSum = top + log(logits.reduce(0.0) { $0 + exp(Double($1) - top) })
    return logits.map { Double($0) - logSum }
}

/// `log softmax(logits)[id]`, summed in double precision.
func logProbability(of id: Int32, _ logits: [Float]) -> Float {
    let top = Double(logits.max() ?? 0)
    let sum = logits.reduce(0.0) { $0 + exp(Double($1) - top) }
    return Float(Double(logits[Int(id)]) - top - log(sum))
}
