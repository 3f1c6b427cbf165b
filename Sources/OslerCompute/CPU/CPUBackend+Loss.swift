internal import COslerKernels

extension CPUBackend {
    /// Rows whose logits exist at a time: 64 MB of them, and enough to repay packing the head.
    private static func chunkRows(rows: Int, vocabulary: Int) -> Int {
        min(rows, max(48, min(528, (64 << 20) / (4 * max(vocabulary, 1)) / 24 * 24)))
    }

    package func linearCrossEntropyWorkspace(rows: Int, width: Int, vocabulary: Int) -> Int {
        4 * Self.chunkRows(rows: rows, vocabulary: vocabulary) * vocabulary
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
            logProbabilities.count == rows && entropies.count == rows && isTop.count == rows)
        precondition(gradient == nil || gradient?.shape == hidden.shape)
        precondition(gradient == nil || gradient?.dtype == .float32)
        let needed = linearCrossEntropyWorkspace(rows: rows, width: width, vocabulary: vocabulary)
        precondition(workspace.byteCount >= needed, "workspace of \(workspace.byteCount) bytes")
        precondition(
            targets.elements(as: Int32.self).allSatisfy { $0 >= 0 && Int($0) < vocabulary },
            "a target is not in the vocabulary of \(vocabulary)")

        let chunk = Self.chunkRows(rows: rows, vocabulary: vocabulary)
        for start in stride(from: 0, to: rows, by: max(chunk, 1)) {
            let range = start..<min(start + chunk, rows)
            let logits = Tensor(
                storage: workspace.storage, byteOffset: workspace.byteOffset, dtype: .float32,
                shape: [range.count, vocabulary])
            multiply(
                [.forward(hidden.rows(range), head)], adding: nil, bias: nil, into: logits)
            var job = ok_cross_entropy(
                logits: Self.floats(logits), targets: Self.targets(targets) + start,
                vocabulary: vocabulary, gradient: gradient != nil, weighted: loss == .dft,
                log_probabilities: Self.floats(logProbabilities) + start,
                entropies: Self.floats(entropies) + start, is_top: Self.floats(isTop) + start)
            ok_cross_entropy_rows(ok_isa(isa.rawValue), pool.handle, &job, range.count)
            if let gradient {
                multiply(
                    [.backward(logits, head, scale: scale)], adding: nil, bias: nil,
                    into: gradient.rows(range))
            }
        }
    }

    private static func floats(_ tensor: Tensor) -> UnsafeMutablePointer<Float> {
        precondition(tensor.dtype == .float32)
        return tensor.address.assumingMemoryBound(to: Float.self)
    }

    private static func targets(_ tensor: Tensor) -> UnsafePointer<Int32> {
        UnsafePointer(tensor.address.assumingMemoryBound(to: Int32.self))
    }
}
