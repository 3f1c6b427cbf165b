package import OslerCompute

/// A backward op and the forward op that it is the derivative of, on one set of inputs.
package struct GradientCase: Sendable, CustomStringConvertible {
    /// An input that has a gradient.
    package struct Input: Sendable {
        package let name: String
        package let shape: [Int]
        package init(_ name: String, _ shape: [Int]) { (self.name, self.shape) = (name, shape) }
    }

    package let description: String
    package let inputs: [Input]
    package let outputShape: [Int]
    /// The output for these inputs, in the backend's activation type all.
    package let forward: @Sendable (any Backend, [Tensor]) throws -> Tensor
    /// Gradients of the inputs for this gradient of the output, float32 or the activation type.
    package let backward: @Sendable (any Backend, [Tensor], Tensor) throws -> [Tensor]

    /// Compares `backward` with central differences of `sum(weights * forward)` (summed in double)
    /// at `samples` places of every input.
    ///
    /// Steps of 1/64 make an error of about h^2/6 = 4e-5 of the third derivative, and float32
    /// outputs one of 1e-7 / h = 6e-6 of the output: gradients of size 1 agree to 1e-3. Outputs in 16
    /// bits are too coarse for differences: there the slopes are those of the reference in float32,
    /// from which roundings in float16 (2^-11 each, of a few operands) keep gradients to 8e-3.
    package func problems(on backend: any Backend, samples: Int = 24) throws -> [String] {
        precondition(backend.precision != .bfloat16)
        let isExact = backend.precision == .float32
        let exact = isExact ? backend : ReferenceBackend(precision: .float32)
        let tolerance: Float = isExact ? 1e-3 : 8e-3
        var random = SplitMix64(state: 11)
        var values = inputs.map { input in
            (0..<input.shape.reduce(1, *)).map { _ in backend.activation.rounded(random.normal()) }
        }
        let weights = (0..<outputShape.reduce(1, *)).map { _ in
            backend.activation.rounded(random.normal())
        }
        let gradients = try backward(
            backend, try tensors(values, backend),
            try backend.tensor(weights, backend.activation, outputShape)
        ).map(backend.floats)

        func objective() throws -> Double {
            let output = try exact.floats(try forward(exact, try tensors(values, exact)))
            return zip(output, weights).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        var problems: [String] = []
        let h: Float = 0x1p-6
        for (n, input) in inputs.enumerated() {
            let largest = gradients[n].map(abs).max() ?? 0
            for _ in 0..<min(samples, values[n].count) {
                let i = Int(random.next() % UInt64(values[n].count))
                let value = values[n][i]
                values[n][i] = value + h
                let above = try objective()
                values[n][i] = value - h
                let below = try objective()
                let step = Double(value + h) - Double(value - h)
                values[n][i] = value
                let slope = Float((above - below) / step)
                if !(abs(slope - gradients[n][i]) <= tolerance * max(1, largest)) {
                    problems.append("\(input.name)[\(i)]: \(gradients[n][i]) for \(slope)")
                }
            }
        }
        return problems
    }

    private func tensors(_ values: [[Float]], _ backend: any Backend) throws -> [Tensor] {
        try zip(values, inputs).map { try backend.tensor($0, backend.activation, $1.shape) }
    }
}

extension Backend {
    var activation: DType { precision.activationType }
}
