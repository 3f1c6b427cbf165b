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
    /// The output for these inputs, float32 all.
    package let forward: @Sendable (any Backend, [Tensor]) throws -> Tensor
    /// Gradients of the inputs for this gradient of the output.
    package let backward: @Sendable (any Backend, [Tensor], Tensor) throws -> [Tensor]

    /// Compares `backward` with central differences of `sum(weights * forward)` (summed in double)
    /// at `samples` places of every input.
    ///
    /// Steps of 1/64 make an error of about h^2/6 = 4e-5 of the third derivative, and float32
    /// outputs one of 1e-7 / h = 6e-6 of the output: gradients of size 1 agree to 1e-3.
    package func problems(on backend: any Backend, samples: Int = 24) throws -> [String] {
        precondition(backend.precision == .float32)
        var random = SplitMix64(state: 11)
        var values = inputs.map { input in
            (0..<input.shape.reduce(1, *)).map { _ in random.normal() }
        }
        let weights = (0..<outputShape.reduce(1, *)).map { _ in random.normal() }
        let gradients = try backward(
            backend, try tensors(values, backend), try backend.tensor(weights, outputShape)
        ).map(backend.floats)

        func objective() throws -> Double {
            let output = try backend.floats(try forward(backend, try tensors(values, backend)))
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
                if !(abs(slope - gradients[n][i]) <= 1e-3 * max(1, largest)) {
                    problems.append("\(input.name)[\(i)]: \(gradients[n][i]) for \(slope)")
                }
            }
        }
        return problems
    }

    private func tensors(_ values: [[Float]], _ backend: any Backend) throws -> [Tensor] {
        try zip(values, inputs).map { try backend.tensor($0, $1.shape) }
    }
}
