package import OslerCompute

/// What the backend takes for itself, known without a card.
extension CUDABackend {
    /// What a driver and a context take of a card's memory before anything is asked of them. Not measured: half a gigabyte
    /// is what people report.
    package static let contextBytes = 500 << 20

    /// The most scratch that operations on `tokens` tokens take: operands of products in their type,
    /// the largest weight decoded, float32 sums, cuBLASLt's workspace, and attention's row sums or, in
    /// decoding, the parts that its keys are cut into.
    ///
    /// - Parameters:
    ///   - widest: the longest row of an activation.
    ///   - largestWeight: values in the largest matrix of a layer.
    ///   - positions: the longest sequence.
    package static func scratchBound(
        _ precision: Precision, tokens: Int, widest: Int, largestWeight: Int, heads: Int,
        positions: Int
    ) -> Int {
        let width = precision.activationType.byteWidth
        let parts = positions / (AttentionTiles.tile * AttentionTiles.leastPart) + 1
        return 4 * tokens * widest * width + 2 * largestWeight * width
            + 4 * widest * accumulatedRows(columns: widest) + CublasLtHandle.workspaceBytes
            + max(4 * tokens * heads, fewRows * heads * parts * 4 * (widestHead + 2))
    }

    /// float32 logits of a chunk and, in bfloat16, their gradient beside them, at the alignment that
    /// products like.
    package static func headWorkspace(
        _ precision: Precision, rows: Int, vocabulary: Int
    ) -> (gradientOffset: Int, byteCount: Int) {
        let count = chunkRows(rows: rows, vocabulary: vocabulary) * vocabulary
        if precision == .float32 { return (0, 4 * count) }
        let offset = (4 * count + 255) / 256 * 256
        return (offset, offset + 2 * count)
    }

    /// Rows whose logits exist at a time: 256 MiB of them, and enough to fill the card's products.
    static func chunkRows(rows: Int, vocabulary: Int) -> Int {
        min(rows, max(128, (256 << 20) / (4 * max(vocabulary, 1))))
    }
}
