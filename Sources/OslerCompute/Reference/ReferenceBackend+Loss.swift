#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension ReferenceBackend {
    package func linearCrossEntropyWorkspace(rows: Int, width: Int, vocabulary: Int) -> Int { 0 }

    package func linearCrossEntropy(
        hidden: Tensor, head: FrozenMatrix, targets: Tensor, loss: LossKind, scale: Float,
        logProbabilities: Tensor, entropies: Tensor, isTop: Tensor, gradient: Tensor?,
        workspace: Tensor
    ) {
        let h = operand(.dense(hidden), transposed: false)
        let w = operand(head, transposed: false)
        precondition(h.columns == w.columns)
        let width = h.columns
        var (logs, entropy, top, slopes) = ([Double](), [Double](), [Double](), [Double]())
        for (n, target) in indices(targets, below: w.rows).enumerated() {
            let logits = (0..<w.rows).map { v in
                (0..<width).map { h.values[n * width + $0] * w.values[v * width + $0] }
                    .reduce(0, +)
            }
            let largest = logits.max() ?? 0
            let logSum = largest + log(logits.map { exp($0 - largest) }.reduce(0, +))
            let logP = logits.map { $0 - logSum }
            logs.append(logP[target])
            entropy.append(-logP.map { exp($0) * $0 }.reduce(0, +))
            top.append(logits.firstIndex(of: largest) == target ? 1 : 0)
            // d(-log p(target)) / d logits, times the token's own weight.
            let weight = Double(scale) * (loss == .dft ? exp(logP[target]) : 1)
            let slope = logP.enumerated().map { weight * (exp($1) - ($0 == target ? 1 : 0)) }
            if gradient != nil {
                slopes += (0..<width).map { i in
                    slope.indices.map { slope[$0] * w.values[$0 * width + i] }.reduce(0, +)
                }
            }
        }
        store(logs, in: logProbabilities)
        store(entropy, in: entropies)
        store(top, in: isTop)
        if let gradient { store(slopes, in: gradient) }
    }
}
