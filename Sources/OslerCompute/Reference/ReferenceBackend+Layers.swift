#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension ReferenceBackend {
    package func embed(ids: Tensor, table: Tensor, into output: Tensor) {
        gatherRows(table, rows: ids, into: output)
    }

    package func rmsNorm(
        _ input: Tensor, weight: Tensor, epsilon: Float, output: Tensor, inverseRMS: Tensor
    ) {
        let (x, w, width) = (load(input), load(weight), input.columns)
        var (y, inverses) = ([Double](), [Double]())
        for t in 0..<input.rowCount {
            let row = x[t * width..<(t + 1) * width]
            let meanSquare = row.map { $0 * $0 }.reduce(0, +) / Double(width)
            let inverse = 1 / (meanSquare + Double(epsilon)).squareRoot()
            inverses.append(inverse)
            y += zip(row, w).map { $0 * inverse * $1 }
        }
        store(y, in: output)
        store(inverses, in: inverseRMS)
    }

    package func rmsNormBackward(
        _ outputGradient: Tensor, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        accumulating: Bool, inputGradient: Tensor
    ) {
        let (x, w, width) = (load(input), load(weight), input.columns)
        let (dy, inverses) = (load(outputGradient), load(inverseRMS))
        var dx = accumulating ? load(inputGradient) : [Double](repeating: 0, count: x.count)
        for t in 0..<input.rowCount {
            let (range, inverse) = (t * width..<(t + 1) * width, inverses[t])
            let dot = range.map { w[$0 - t * width] * dy[$0] * x[$0] }.reduce(0, +)
            let mean = dot / Double(width)
            for i in range {
                dx[i] += inverse * (w[i - t * width] * dy[i] - x[i] * inverse * inverse * mean)
            }
        }
        store(dx, in: inputGradient)
    }

    package func rope(
        _ heads: Tensor, positions: Tensor, cosine: Tensor, sine: Tensor, inverse: Bool
    ) {
        let (headCount, width) = (heads.shape[1], heads.shape[2])
        let (half, cosines, sines) = (width / 2, load(cosine), load(sine))
        var x = load(heads)
        for (t, position) in indices(positions, below: cosine.rowCount).enumerated() {
            for head in 0..<headCount {
                for i in 0..<half {
                    let first = (t * headCount + head) * width + i
                    let c = cosines[position * half + i]
                    let s = inverse ? -sines[position * half + i] : sines[position * half + i]
                    (x[first], x[first + half]) = (
                        x[first] * c - x[first + half] * s, x[first + half] * c + x[first] * s
                    )
                }
            }
        }
        store(x, in: heads)
    }

    package func swiglu(gate: Tensor, up: Tensor, output: Tensor) {
        store(zip(load(gate), load(up)).map { $0 / (1 + exp(-$0)) * $1 }, in: output)
    }

    package func swigluBackward(
        _ outputGradient: Tensor, gate: Tensor, up: Tensor, gateGradient: Tensor, upGradient: Tensor
    ) {
        let (dy, g, u) = (load(outputGradient), load(gate), load(up))
        let sigmoid = g.map { 1 / (1 + exp(-$0)) }
        let slope = zip(g, sigmoid).map { $1 * (1 + $0 * (1 - $1)) }
        store(dy.indices.map { dy[$0] * u[$0] * slope[$0] }, in: gateGradient)
        store(dy.indices.map { dy[$0] * g[$0] * sigmoid[$0] }, in: upGradient)
    }

    package func dropout(_ input: Tensor, probability: Float, key: DropoutKey, output: Tensor) {
        store(dropped(input, probability, key), in: output)
    }

    package func addDropout(
        _ input: Tensor, probability: Float, key: DropoutKey, to output: Tensor
    ) {
        store(zip(load(output), dropped(input, probability, key)).map { $0 + $1 }, in: output)
    }

    private func dropped(_ input: Tensor, _ probability: Float, _ key: DropoutKey) -> [Double] {
        let threshold = DropoutKey.threshold(probability)
        return load(input).enumerated().map { i, value in
            UInt32(key.bits(i)) < threshold ? 0 : value / (1 - Double(probability))
        }
    }

    package func add(_ input: Tensor, to output: Tensor) {
        store(zip(load(output), load(input)).map { $0 + $1 }, in: output)
    }

    package func gatherRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        precondition(output.rowCount == rows.count && output.columns == input.columns)
        for (i, row) in indices(rows, below: input.rowCount).enumerated() {
            copy(input.rows(row..<row + 1), to: output.rows(i..<i + 1))
        }
    }

    package func scatterRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        precondition(input.rowCount == rows.count && output.columns == input.columns)
        for (i, row) in indices(rows, below: output.rowCount).enumerated() {
            copy(input.rows(i..<i + 1), to: output.rows(row..<row + 1))
        }
    }
}
