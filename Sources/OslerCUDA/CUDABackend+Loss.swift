package import OslerCompute

extension CUDABackend {
    /// What the gradient of the logits is multiplied by while it is held. Its values are at most 1,
    /// and most are tiny probabilities, which float16 loses below 6e-8: so it keeps those from
    /// 2e-11.
    private var slopeScale: Float { precision == .float16 ? 4096 : 1 }

    package func linearCrossEntropyWorkspace(rows: Int, width: Int, vocabulary: Int) -> Int {
        Self.headWorkspace(precision, rows: rows, vocabulary: vocabulary).byteCount
    }

    package func linearCrossEntropy(
        hidden: Tensor, head: FrozenMatrix, targets: Tensor, loss: LossKind, scale: Float,
        logProbabilities: Tensor, entropies: Tensor, isTop: Tensor, gradient: Tensor?,
        workspace: Tensor
    ) {
        let (rows, width, vocabulary) = (hidden.rowCount, hidden.columns, head.rows)
        precondition(head.columns == width, "head [\(vocabulary), \(head.columns)] on \(width)")
        precondition(targets.count == rows && targets.dtype == .int32, "targets \(targets.shape)")
        precondition(
            [logProbabilities, entropies, isTop].allSatisfy {
                $0.count == rows && $0.dtype == .float32
            })
        precondition(gradient == nil || gradient?.shape == hidden.shape)
        precondition(gradient == nil || gradient?.dtype == .float32)
        let layout = Self.headWorkspace(precision, rows: rows, vocabulary: vocabulary)
        precondition(
            workspace.byteCount >= layout.byteCount, "workspace of \(workspace.byteCount) bytes")

        let chunk = Self.chunkRows(rows: rows, vocabulary: vocabulary)
        for start in stride(from: 0, to: rows, by: max(chunk, 1)) {
            let range = start..<min(start + chunk, rows)
            let shape = [range.count, vocabulary]
            let logits = Tensor(
                storage: workspace.storage, byteOffset: workspace.byteOffset, dtype: .float32,
                shape: shape)
            multiply([.forward(hidden.rows(range), head)], adding: nil, bias: nil, into: logits)
            let slope = gradient.map { _ in
                Tensor(
                    storage: workspace.storage,
                    byteOffset: workspace.byteOffset + layout.gradientOffset,
                    dtype: precision.activationType, shape: shape)
            }
            launch(
                "cross_entropy", grid: Grid(range.count), block: 512, logits, targets.rows(range),
                Int32(vocabulary), Int32(loss == .dft ? 1 : 0), logProbabilities.rows(range),
                entropies.rows(range), isTop.rows(range), slope,
                slope?.kernelType ?? 0, slopeScale)
            if let gradient, let slope {
                multiply(
                    [.backward(slope, head, scale: scale / slopeScale)], adding: nil, bias: nil,
                    into: gradient.rows(range))
            }
        }
    }
}
