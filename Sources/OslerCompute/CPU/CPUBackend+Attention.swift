internal import COslerKernels

extension CPUBackend {
    package func attention(
        query: Tensor, key: Tensor, value: Tensor, sequences: SequenceTable, scale: Float,
        output: Tensor, logSumExp: Tensor
    ) {
        precondition(output.shape == query.shape && output.dtype == query.dtype)
        sequences.withKernelTable { table in
            var work = kernelAttention(query, key, value, table, scale, output, logSumExp)
            let bytes = ok_attention_workspace(&work, tile, Int32(pool.threads))
            ok_attention_forward(&work, tile, pool.handle, ok_scratch_reserve(scratch, bytes))
        }
    }

    package func attentionBackward(
        _ outputGradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
        logSumExp: Tensor, sequences: SequenceTable, scale: Float, queryGradient: Tensor,
        keyGradient: Tensor, valueGradient: Tensor
    ) {
        for tensor in [output, outputGradient, queryGradient] {
            precondition(tensor.shape == query.shape && tensor.dtype == query.dtype)
        }
        for tensor in [keyGradient, valueGradient] {
            precondition(tensor.shape == key.shape && tensor.dtype == key.dtype)
        }
        precondition(
            sequences.entries.allSatisfy { $0.queryCount == $0.keyCount },
            "attention backward needs equal query and key counts")
        sequences.withKernelTable { table in
            var work = kernelAttention(query, key, value, table, scale, output, logSumExp)
            var gradients = ok_attention_gradients(
                output: outputGradient.address, query: queryGradient.address,
                key: keyGradient.address, value: valueGradient.address)
            let bytes = ok_attention_backward_workspace(&work, tile, Int32(pool.threads))
            ok_attention_backward(
                &work, &gradients, tile, pool.handle, ok_scratch_reserve(scratch, bytes))
        }
    }

    /// Bytes of scratch that attention over `sequences` takes with this backend's threads, so that memory can be
    /// planned: forward, and backward when `training`. It grows with the sum of the key counts (forward packs keys and
    /// values once), with `H * h` float32 a query (backward sums dQ), and with the threads (below 1 MiB each).
    package func attentionWorkspace(
        sequences: SequenceTable, heads: Int, keyHeads: Int, width: Int, training: Bool
    ) -> Int {
        precondition(width % 8 == 0 && heads % keyHeads == 0)
        return sequences.withKernelTable { table in
            var work = ok_attention()
            (work.sequences, work.sequence_count) = (table.baseAddress!, table.count)
            work.query_rows = sequences.entries.map { $0.queryOffset + $0.queryCount }.max() ?? 0
            (work.heads, work.key_heads) = (Int32(heads), Int32(keyHeads))
            (work.width, work.scale) = (Int32(width), 1)
            work.type = precision == .bfloat16 ? OK_BF16 : OK_F32
            let threads = Int32(pool.threads)
            let forward = ok_attention_workspace(&work, tile, threads)
            guard training else { return forward }
            return max(forward, ok_attention_backward_workspace(&work, tile, threads))
        }
    }

    /// The arguments of both passes, after checking that they fit.
    private func kernelAttention(
        _ query: Tensor, _ key: Tensor, _ value: Tensor,
        _ table: UnsafeBufferPointer<ok_sequence>, _ scale: Float, _ output: Tensor,
        _ logSumExp: Tensor
    ) -> ok_attention {
        let (rows, heads, width) = (query.shape[0], query.shape[1], query.shape[2])
        let keyHeads = key.shape[1]
        precondition(
            key.shape[2] == width && value.shape == key.shape && heads % keyHeads == 0
                && width % 8 == 0,
            "attention of query \(query.shape), key \(key.shape), value \(value.shape)")
        precondition(query.dtype == key.dtype && query.dtype == value.dtype)
        precondition(logSumExp.dtype == .float32 && logSumExp.count == heads * rows)
        for entry in table {
            precondition(
                entry.query_offset >= 0 && entry.query_count >= 0 && entry.key_offset >= 0
                    && entry.key_count >= entry.query_count
                    && entry.query_offset + entry.query_count <= rows
                    && entry.key_offset + entry.key_count <= key.shape[0],
                "sequence \(entry) in \(rows) queries and \(key.shape[0]) keys")
        }
        return ok_attention(
            query: query.address, key: key.address, value: value.address, output: output.address,
            log_sum_exp: logSumExp.address.assumingMemoryBound(to: Float.self),
            sequences: table.baseAddress!, sequence_count: table.count, query_rows: rows,
            heads: Int32(heads), key_heads: Int32(keyHeads), width: Int32(width), scale: scale,
            type: query.kernelType)
    }
}

extension SequenceTable {
    /// The entries as the kernels take them.
    fileprivate func withKernelTable<Result>(
        _ body: (UnsafeBufferPointer<ok_sequence>) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(of: ok_sequence.self, capacity: max(entries.count, 1)) {
            for (i, entry) in entries.enumerated() {
                $0.initializeElement(
                    at: i,
                    to: ok_sequence(
                        query_offset: Int64(entry.queryOffset),
                        query_count: Int64(entry.queryCount), key_offset: Int64(entry.keyOffset),
                        key_count: Int64(entry.keyCount)))
            }
            return body(UnsafeBufferPointer(rebasing: $0[..<entries.count]))
        }
    }
}
