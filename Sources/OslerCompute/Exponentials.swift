internal import COslerKernels

/// The sum of `exp(scale * (value - top))` of values of which none is larger than `top`; exponents below -87 count as -87.
/// - Parameter results: where the exponentials go, float32 as many as there are values; nil when only the sum is wanted.
package func exponentialSum(
    _ values: UnsafeBufferPointer<Float>, top: Float, scale: Float = 1,
    into results: UnsafeMutableBufferPointer<Float>? = nil
) -> Double {
    guard let base = values.baseAddress else { return 0 }
    if let results { precondition(results.count == values.count) }
    return ok_exponentials(
        ok_isa_best(), base, values.count, top, scale, results?.baseAddress)
}
