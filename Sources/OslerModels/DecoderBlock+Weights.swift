internal import OslerCompute

extension DecoderBlock {
    /// The block with other tensors in place of its frozen ones, which `replace` is given in a fixed order.
    func replacingWeights(_ replace: (Tensor) throws -> Tensor) rethrows -> DecoderBlock {
        DecoderBlock(
            attention: SelfAttention(
                query: try attention.query.replacingWeights(replace),
                key: try attention.key.replacingWeights(replace),
                value: try attention.value.replacingWeights(replace),
                output: try attention.output.replacingWeights(replace),
                queryNorm: try attention.queryNorm.map(replace),
                keyNorm: try attention.keyNorm.map(replace),
                heads: attention.heads, keyValueHeads: attention.keyValueHeads,
                headWidth: attention.headWidth, epsilon: attention.epsilon),
            mlp: GatedMLP(
                gate: try mlp.gate.replacingWeights(replace),
                up: try mlp.up.replacingWeights(replace),
                down: try mlp.down.replacingWeights(replace)),
            attentionNorm: try replace(attentionNorm), mlpNorm: try replace(mlpNorm),
            epsilon: epsilon)
    }

    /// Bytes of the base weights, in the form in which they are held.
    package var weightBytes: Int {
        let linears = [
            attention.query, attention.key, attention.value, attention.output, mlp.gate, mlp.up,
            mlp.down,
        ]
        let vectors = [attentionNorm, mlpNorm, attention.queryNorm, attention.keyNorm]
        return linears.reduce(0) { $0 + $1.weight.byteCount + ($1.bias?.byteCount ?? 0) }
            + vectors.reduce(0) { $0 + ($1?.byteCount ?? 0) }
    }

    /// Bytes of the frozen tensors one after the other, each at a multiple of 256: as memory of its own would lie, so that
    /// products choose the same kernels.
    package var packedByteCount: Int {
        var bytes = 0
        _ = replacingWeights {
            bytes += $0.packedByteCount
            return $0
        }
        return bytes
    }

    /// The block with its weights copied, one after the other, to page-locked memory. Only `moved` makes it one that can
    /// compute.
    func packed(by backend: any Backend) throws -> DecoderBlock {
        let memory = try backend.allocatePinned(byteCount: packedByteCount)
        var offset = 0
        return try replacingWeights { tensor in
            let copy = Tensor(
                storage: memory, byteOffset: offset, dtype: tensor.dtype, shape: tensor.shape)
            try backend.read(
                tensor,
                into: UnsafeMutableRawBufferPointer(start: copy.address, count: copy.byteCount))
            offset += tensor.packedByteCount
            return copy
        }
    }

    /// A packed block whose bytes are in `storage`.
    func moved(to storage: Storage) -> DecoderBlock {
        replacingWeights {
            Tensor(
                storage: storage, byteOffset: $0.byteOffset, dtype: $0.dtype, shape: $0.shape)
        }
    }
}

extension Tensor {
    fileprivate var packedByteCount: Int { (byteCount + 255) / 256 * 256 }
}

extension Linear {
    fileprivate func replacingWeights(_ replace: (Tensor) throws -> Tensor) rethrows -> Linear {
        Linear(
            name: name, weight: try weight.replacingTensors(replace), bias: try bias.map(replace),
            lora: lora)
    }
}

extension FrozenMatrix {
    fileprivate func replacingTensors(
        _ replace: (Tensor) throws -> Tensor
    ) rethrows -> FrozenMatrix {
        switch self {
        case .dense(let tensor): return .dense(try replace(tensor))
        case .nf4(let matrix):
            return .nf4(
                NF4Matrix(
                    rows: matrix.rows, columns: matrix.columns, blockSize: matrix.blockSize,
                    codes: try replace(matrix.codes), absmax: try replace(matrix.absmax),
                    nested: try matrix.nested.map {
                        NF4Matrix.Nested(
                            absmax: try replace($0.absmax), table: try replace($0.table),
                            offset: $0.offset, blockSize: $0.blockSize)
                    }))
        }
    }
}
