#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
package import OslerCompute

extension GradientCase {
    /// Every op that has a backward op. `linearCrossEntropy` is among them with its nll loss; dft's
    /// gradient is nll's times a constant by definition, which no difference quotient shows.
    package static let all = [
        linear, weightGradient, rmsNorm, rope, attention, swiglu, dropout, crossEntropy,
    ]

    private static let linear = GradientCase(
        description: "linear layer, into its input", inputs: [Input("input", [5, 17])],
        outputShape: [5, 19],
        forward: { backend, inputs in
            try backend.product(.forward(inputs[0], try backend.weight(19, 17)), [5, 19])
        },
        backward: { backend, _, dy in
            [try backend.product(.backward(dy, try backend.weight(19, 17)), [5, 17])]
        })

    private static let weightGradient = GradientCase(
        description: "linear layer, into its weight",
        inputs: [Input("input", [9, 7]), Input("weight", [16, 7])], outputShape: [9, 16],
        forward: { backend, inputs in
            try backend.product(.forward(inputs[0], .dense(inputs[1]), scale: 0.5), [9, 16])
        },
        backward: { backend, inputs, dy in
            [
                try backend.product(.backward(dy, .dense(inputs[1]), scale: 0.5), [9, 7]),
                try backend.product(.gradient(dy, inputs[0], scale: 0.5), [16, 7]),
            ]
        })

    private static let rmsNorm = GradientCase(
        description: "RMS norm", inputs: [Input("input", [3, 33])], outputShape: [3, 33],
        forward: { backend, inputs in try backend.normed(inputs[0]).output },
        backward: { backend, inputs, dy in
            let dx = try backend.tensor(.float32, [3, 33])
            backend.rmsNormBackward(
                dy, input: inputs[0], weight: try backend.normWeight(33),
                inverseRMS: try backend.normed(inputs[0]).inverseRMS, accumulating: false,
                inputGradient: dx)
            return [dx]
        })

    private static let rope = GradientCase(
        description: "rotary embedding", inputs: [Input("heads", [4, 3, 10])],
        outputShape: [4, 3, 10],
        forward: { backend, inputs in try backend.rotated(inputs[0], inverse: false) },
        backward: { backend, _, dy in [try backend.rotated(dy, inverse: true)] })

    private static let lengths = SequenceTable(lengths: [5, 17, 1])
    private static let attention = GradientCase(
        description: "attention",
        inputs: [
            Input("query", [23, 4, 16]), Input("key", [23, 2, 16]), Input("value", [23, 2, 16]),
        ], outputShape: [23, 4, 16],
        forward: { backend, inputs in try backend.attended(inputs).output },
        backward: { backend, inputs, dy in
            let (output, sums) = try backend.attended(inputs)
            let gradients = try inputs.map { try backend.tensor(backend.activation, $0.shape) }
            backend.attentionBackward(
                dy, query: inputs[0], key: inputs[1], value: inputs[2], output: output,
                logSumExp: sums, sequences: lengths, scale: 0.25, queryGradient: gradients[0],
                keyGradient: gradients[1], valueGradient: gradients[2])
            return gradients
        })

    private static let swiglu = GradientCase(
        description: "SwiGLU", inputs: [Input("gate", [3, 17]), Input("up", [3, 17])],
        outputShape: [3, 17],
        forward: { backend, inputs in
            let y = try backend.tensor(backend.activation, [3, 17])
            backend.swiglu(gate: inputs[0], up: inputs[1], output: y)
            return y
        },
        backward: { backend, inputs, dy in
            let gradients = try inputs.map { try backend.tensor(backend.activation, $0.shape) }
            backend.swigluBackward(
                dy, gate: inputs[0], up: inputs[1], gateGradient: gradients[0],
                upGradient: gradients[1])
            return gradients
        })

    private static let key = DropoutKey(seed: 5, stream: 9)
    private static let dropout = GradientCase(
        description: "dropout", inputs: [Input("input", [200])], outputShape: [200],
        forward: { backend, inputs in
            let y = try backend.tensor(backend.activation, [200])
            backend.dropout(inputs[0], probability: 0.3, key: key, output: y)
            return y
        },
        backward: { backend, _, dy in
            let dx = try backend.tensor(.float32, [200])
            backend.zero(dx)
            backend.addDropout(dy, probability: 0.3, key: key, to: dx)
            return [dx]
        })

    private static let crossEntropy = GradientCase(
        description: "linear cross-entropy", inputs: [Input("hidden", [7, 16])], outputShape: [1],
        forward: { backend, inputs in
            let logs = try backend.floats(try backend.loss(inputs[0], .nll, 1, nil))
            let sum = logs.reduce(0.0) { $0 - Double($1) }
            return try backend.tensor([Float(sum)], [1])
        },
        backward: { backend, inputs, dy in
            let dx = try backend.tensor(.float32, [7, 16])
            let weight = try backend.floats(dy)[0]
            _ = try backend.loss(inputs[0], .nll, weight, dx)
            return [dx]
        })
}

extension Backend {
    fileprivate func product(_ product: Product, _ shape: [Int]) throws -> Tensor {
        let y = try tensor(.float32, shape)
        multiply([product], adding: nil, bias: nil, into: y)
        return y
    }

    fileprivate func numbers(_ count: Int, seed: UInt64) -> [Float] {
        var random = SplitMix64(state: seed)
        return (0..<count).map { _ in random.normal() }
    }

    fileprivate func weight(_ rows: Int, _ columns: Int) throws -> FrozenMatrix {
        .dense(try tensor(numbers(rows * columns, seed: 3), [rows, columns]))
    }

    fileprivate func normWeight(_ width: Int) throws -> Tensor {
        try tensor(numbers(width, seed: 4), [width])
    }

    fileprivate func normed(_ x: Tensor) throws -> (output: Tensor, inverseRMS: Tensor) {
        let (y, inverses) = (try tensor(activation, x.shape), try tensor(.float32, [x.rowCount]))
        rmsNorm(
            x, weight: try normWeight(x.columns), epsilon: 1e-5, output: y, inverseRMS: inverses)
        return (y, inverses)
    }

    fileprivate func rotated(_ x: Tensor, inverse: Bool) throws -> Tensor {
        let (y, half) = (try tensor(activation, x.shape), x.shape[2] / 2)
        copy(x, to: y)
        let angles = (0..<9 * half).map { Float($0) * 0.3 }
        rope(
            y, positions: try tensor([3, 0, 8, 1] as [Int32], [4]),
            cosine: try tensor(angles.map { cosf($0) }, [9, half]),
            sine: try tensor(angles.map { sinf($0) }, [9, half]), inverse: inverse)
        return y
    }

    fileprivate func attended(_ inputs: [Tensor]) throws -> (output: Tensor, logSumExp: Tensor) {
        let y = try tensor(activation, inputs[0].shape)
        let sums = try tensor(.float32, [inputs[0].shape[1], inputs[0].shape[0]])
        attention(
            query: inputs[0], key: inputs[1], value: inputs[2],
            sequences: SequenceTable(lengths: [5, 17, 1]), scale: 0.25, output: y, logSumExp: sums)
        return (y, sums)
    }

    /// log p of fixed targets; the gradient goes to `gradient`.
    package func loss(_ hidden: Tensor, _ kind: LossKind, _ scale: Float, _ gradient: Tensor?)
        throws -> Tensor
    {
        let (rows, vocabulary) = (hidden.rowCount, 50)
        let outputs = try (0..<3).map { _ in try tensor(.float32, [rows]) }
        let bytes = linearCrossEntropyWorkspace(
            rows: rows, width: hidden.columns, vocabulary: vocabulary)
        linearCrossEntropy(
            hidden: hidden, head: try weight(vocabulary, hidden.columns),
            targets: try tensor((0..<rows).map { Int32($0 * 7 % vocabulary) }, [rows]), loss: kind,
            scale: scale, logProbabilities: outputs[0], entropies: outputs[1], isTop: outputs[2],
            gradient: gradient, workspace: try tensor(.uint8, [bytes]))
        return outputs[0]
    }
}
