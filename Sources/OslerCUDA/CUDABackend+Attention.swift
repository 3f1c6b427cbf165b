package import OslerCompute

extension CUDABackend {
    /// Elements of the widest heads that there is a kernel for.
    static let widestHead = 128

    package func attention(
        query: Tensor, key: Tensor, value: Tensor, sequences: SequenceTable, scale: Float,
        output: Tensor, logSumExp: Tensor
    ) {
        let shape = AttentionShape(query, key)
        precondition(value.shape == key.shape && output.shape == query.shape)
        precondition(logSumExp.count == shape.heads * shape.queries)
        check([query, key, value, output], logSumExp)
        let isPlain = precision == .float32
        guard
            let tiles = attentionTiles(
                sequences, group: shape.group, of: isPlain ? .rows : .forward)
        else { return }
        let (queries, heads) = (Int32(shape.queries), Int32(shape.heads))
        let (keyHeads, width) = (Int32(shape.keyHeads), Int32(shape.width))
        let grid = Grid(tiles.count, shape.keyHeads)
        if isPlain {
            launch(
                "attention_f32", grid: grid, block: 128, query, key, value, tiles.items, output,
                logSumExp, queries, heads, keyHeads, width, scale)
            return
        }
        let kernel = kernelForm(shape)
        var parts: Tensor?
        if tiles.mergeCount > 0 {
            // A slot a part; finished tiles have none, the room for them is not missed.
            let rows = tiles.count * shape.keyHeads * tiles.partRows
            parts = scratch(.attention, .float32, [rows, kernel.padded + 2])
            guard parts != nil else { return }
        }
        launch(
            "attention_" + kernel.suffix, grid: grid, block: 128, shared: kernel.sharedBytes,
            query, key, value, tiles.items, output, logSumExp, parts,
            Int32(tiles.partRows), queries, heads, keyHeads, width, scale)
        if tiles.mergeCount > 0 {
            launch(
                "attention_merge", grid: Grid(tiles.mergeCount, shape.keyHeads), block: 128, parts,
                Int32(tiles.partRows), tiles.merges, output, output.kernelType, logSumExp, queries,
                heads, keyHeads, width, scale, Int32(kernel.padded))
        }
    }

    package func attentionBackward(
        _ outputGradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
        logSumExp: Tensor, sequences: SequenceTable, scale: Float, queryGradient: Tensor,
        keyGradient: Tensor, valueGradient: Tensor
    ) {
        let shape = AttentionShape(query, key)
        precondition(value.shape == key.shape && logSumExp.count == shape.heads * shape.queries)
        precondition(keyGradient.shape == key.shape && valueGradient.shape == key.shape)
        precondition(
            [outputGradient, output, queryGradient].allSatisfy { $0.shape == query.shape })
        check(
            [
                query, key, value, output, outputGradient, queryGradient, keyGradient,
                valueGradient,
            ], logSumExp)
        precondition(
            sequences.entries.allSatisfy { $0.queryCount == $0.keyCount },
            "attention backward with cached keys")
        guard shape.queries > 0,
            let rows = attentionTiles(sequences, group: shape.group, of: .rows),
            let keys = attentionTiles(sequences, group: shape.group, of: .keys),
            let delta = scratch(.attention, .float32, [shape.heads, shape.queries])
        else { return }
        let kernel = kernelForm(shape)
        let (queries, heads) = (Int32(shape.queries), Int32(shape.heads))
        let (keyHeads, width) = (Int32(shape.keyHeads), Int32(shape.width))
        launch(
            "attention_delta", grid: .blocks(of: 8, covering: shape.queries * shape.heads),
            block: 256, outputGradient, output, output.kernelType, delta, queries, heads, width)
        launch(
            "attention_dq_" + kernel.suffix, grid: Grid(rows.count, shape.keyHeads), block: 128,
            shared: kernel.sharedBytes, query, key, value, outputGradient, rows.items, logSumExp,
            delta, queryGradient, queries, heads, keyHeads, width, scale)
        launch(
            "attention_dkv_" + kernel.suffix, grid: Grid(keys.count, shape.keyHeads), block: 128,
            shared: kernel.sharedBytes == 0 ? 0 : kernel.sharedBytes + 512, query, key, value,
            outputGradient, keys.items, logSumExp, delta, keyGradient, valueGradient, queries,
            heads, keyHeads, width, scale)
    }

    private func check(_ tensors: [Tensor], _ logSumExp: Tensor) {
        let type = precision.activationType
        precondition(tensors.allSatisfy { $0.dtype == type } && logSumExp.dtype == .float32)
    }

    /// The end of the kernels' names, the width filled up to one that there is a kernel for, and the
    /// bytes of the tiles in shared memory: rows of that width and 8 elements more.
    private func kernelForm(_ shape: AttentionShape) -> (
        suffix: String, padded: Int, sharedBytes: Int
    ) {
        let padded = [32, 64, 96, 128].first { $0 >= shape.width } ?? 128
        if precision == .float32 { return ("f32", padded, 0) }
        let type = precision == .bfloat16 ? "bf16" : "f16"
        // Turing's 64 KB hold fewer of the longest rows.
        let rows = card.architecture < 80 && padded == 128 ? 192 : 256
        return ("\(type)_\(padded)", padded, rows * 2 * (padded + 8))
    }
}

/// `[Tq, H, h]` queries on `[Tk, K, h]` keys.
private struct AttentionShape {
    let queries: Int
    let heads: Int
    let keyHeads: Int
    let width: Int
    var group: Int { heads / keyHeads }

    init(_ query: Tensor, _ key: Tensor) {
        (queries, heads, width) = (query.shape[0], query.shape[1], query.shape[2])
        keyHeads = key.shape[1]
        precondition(key.shape[2] == width && heads % keyHeads == 0, "\(query.shape) \(key.shape)")
        precondition(
            width % 8 == 0 && width <= CUDABackend.widestHead, "attention heads of \(width)")
    }
}
