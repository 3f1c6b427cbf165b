#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension ReferenceBackend {
    package func sumOfSquares(_ tensor: Tensor) -> Double {
        load(tensor).map { $0 * $0 }.reduce(0, +)
    }

    package func adamW(
        _ parameter: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor,
        step: AdamWStep
    ) {
        var (p, g) = (load(parameter), load(gradient))
        var (m, v) = (load(firstMoment), load(secondMoment))
        let (correction1, correction2) = step.biasCorrections
        for i in p.indices {
            g[i] *= Double(step.gradientScale)
            m[i] = step.beta1 * m[i] + (1 - step.beta1) * g[i]
            v[i] = step.beta2 * v[i] + (1 - step.beta2) * g[i] * g[i]
            p[i] *= 1 - step.learningRate * step.weightDecay
            let denominator = v[i].squareRoot() / correction2.squareRoot() + step.epsilon
            p[i] -= step.learningRate * (m[i] / correction1) / denominator
        }
        store(p, in: parameter)
        store(m, in: firstMoment)
        store(v, in: secondMoment)
    }

    package func adamW8bit(
        _ parameter: Tensor, gradient: Tensor, state: Adam8bitState, step: AdamWStep
    ) {
        var (p, g) = (load(parameter), load(gradient))
        var m = dequantized(state.first, state.firstAbsmax, DynamicMap.signed)
        var v = dequantized(state.second, state.secondAbsmax, DynamicMap.unsigned)
        let (correction1, correction2) = step.biasCorrections
        for i in p.indices {
            g[i] *= Double(step.gradientScale)
            m[i] = step.beta1 * m[i] + (1 - step.beta1) * g[i]
            v[i] = step.beta2 * v[i] + (1 - step.beta2) * g[i] * g[i]
            // bitsandbytes scales epsilon where torch divides the root: the same numbers.
            let denominator = v[i].squareRoot() + step.epsilon * correction2.squareRoot()
            p[i] -=
                step.learningRate * correction2.squareRoot() / correction1 * m[i] / denominator
            p[i] *= 1 - step.learningRate * step.weightDecay
        }
        store(p, in: parameter)
        quantize(m, DynamicMap.signed, state.first, state.firstAbsmax, keepingSign: true)
        quantize(v, DynamicMap.unsigned, state.second, state.secondAbsmax, keepingSign: false)
    }

    private func dequantized(_ codes: Tensor, _ absmax: Tensor, _ map: [Float]) -> [Double] {
        let scales = absmax.elements(as: Float.self)
        return codes.elements(as: UInt8.self).enumerated().map {
            Double(map[Int($1)] * scales[$0 / 256])
        }
    }

    /// Blocks of 256; a first moment whose code would lose its sign goes one code towards its sign.
    private func quantize(
        _ values: [Double], _ map: [Float], _ codes: Tensor, _ absmax: Tensor, keepingSign: Bool
    ) {
        for start in stride(from: 0, to: values.count, by: 256) {
            let block = values[start..<min(start + 256, values.count)].map { Float($0) }
            let largest = block.map(abs).max() ?? 0
            absmax.elements(as: Float.self)[start / 256] = largest
            for (i, value) in block.enumerated() {
                let scaled = largest > 0 ? value * (1 / largest) : 0
                var code = DynamicMap.nearest(scaled, in: map)
                if keepingSign, value < 0, map[Int(code)] >= 0 { code -= 1 }
                codes.elements(as: UInt8.self)[start + i] = code
            }
        }
    }
}

extension AdamWStep {
    /// `1 - beta^step` for both moments.
    package var biasCorrections: (Double, Double) {
        (1 - pow(beta1, Double(step)), 1 - pow(beta2, Double(step)))
    }
}
