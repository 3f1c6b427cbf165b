/// The 8-bit dynamic maps of Dettmers et al. 2022, "8-bit optimizers via block-wise quantization":
/// the number of leading zero bits chooses a power of ten, the bits after them divide that decade.
/// As bitsandbytes' `create_dynamic_map`, value for value.
package enum DynamicMap {
    /// -0.99297 ... 1, zero at code 127: first moments, and the scales of double-quantized NF4.
    package static let signed = make(signed: true)
    /// 0 ... 1, zero at code 0: second moments.
    package static let unsigned = make(signed: false)

    private static func make(signed: Bool) -> [Float] {
        var values: [Float] = [0, 1]
        for exponent in 0..<7 {
            let steps = signed ? 1 << exponent : 1 << (exponent + 1)
            var decade = 1.0
            for _ in 0..<(6 - exponent) { decade /= 10 }
            let bounds = linspace(steps + 1)
            for i in 0..<steps {
                // torch.linspace and the mean are float32, the power of ten multiplies as a double.
                let mean = (bounds[i] + bounds[i + 1]) / 2
                let value = Float(decade) * mean
                values.append(value)
                if signed { values.append(-value) }
            }
        }
        return values.sorted()
    }

    /// `count` points from 0.1 to 1, float32, filled from both ends by fused multiply-adds as torch
    /// does.
    private static func linspace(_ count: Int) -> [Float] {
        let step = (Float(1) - Float(0.1)) / Float(count - 1)
        return (0..<count).map { i in
            i < count / 2
                ? Float(0.1).addingProduct(step, Float(i))
                : Float(1).addingProduct(-step, Float(count - 1 - i))
        }
    }

    /// The code of the nearest table value; a tie goes to the lower code.
    package static func nearest(_ value: Float, in table: [Float]) -> UInt8 {
        var (low, high) = (0, table.count - 1)
        while low < high {
            let middle = (low + high) / 2
            // The bound between two codes, as far as float32 knows it.
            if value > (table[middle] + table[middle + 1]) * 0.5 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return UInt8(low)
    }
}
