internal import OslerCompute

/// Operands that were brought to the type of the products in one call of `multiply`, to be used again
/// by those that come after: left ones by address, right ones until another takes their memory.
struct PreparedOperands {
    fileprivate var left: [(source: Tensor, result: Tensor)] = []
    fileprivate var right: [ScratchSlot: (source: Tensor, result: Tensor)] = [:]
    fileprivate var turn = 0
    fileprivate static let leftSlots: [ScratchSlot] = [
        .leftOperand0, .leftOperand1, .leftOperand2, .leftOperand3,
    ]
}

extension CUDABackend {
    /// `tensor` in the type of the products, as rows and columns; nil after a failure.
    func leftOperand(_ tensor: Tensor, _ prepared: inout PreparedOperands) -> Tensor? {
        let type = precision.activationType
        if tensor.dtype == type { return tensor.matrix }
        if let found = prepared.left.first(where: { $0.source.isSame(as: tensor) }) {
            return found.result
        }
        let slots = PreparedOperands.leftSlots
        // The oldest one's memory is taken: it is known no more.
        if prepared.left.count == slots.count { prepared.left.removeFirst() }
        let slot = slots[prepared.turn % slots.count]
        guard let result = scratch(slot, type, tensor.matrix.shape) else { return nil }
        copy(tensor.matrix, to: result)
        prepared.left.append((tensor, result))
        prepared.turn += 1
        return result
    }

    /// A right operand in the type of the products; nil after a failure.
    func rightOperand(_ matrix: FrozenMatrix, _ prepared: inout PreparedOperands) -> Tensor? {
        let (type, shape) = (precision.activationType, [matrix.rows, matrix.columns])
        let slot: ScratchSlot
        let source: Tensor
        switch matrix {
        case .dense(let tensor):
            if tensor.dtype == type { return tensor.matrix }
            (slot, source) = (.roundedWeight, tensor)
        case .nf4(let matrix): (slot, source) = (.decodedWeight, matrix.codes)
        }
        if let found = prepared.right[slot], found.source.isSame(as: source) {
            return found.result
        }
        prepared.right[slot] = nil
        guard let result = scratch(slot, type, shape) else { return nil }
        switch matrix {
        case .dense(let tensor): copy(tensor.matrix, to: result)
        case .nf4(let matrix): decode(matrix, into: result)
        }
        prepared.right[slot] = (source, result)
        return result
    }

    /// All values of an NF4 matrix, rounded once to the type of `output`.
    func decode(_ matrix: NF4Matrix, into output: Tensor) {
        precondition(output.count == matrix.rows * matrix.columns)
        launch(
            "nf4_decode", grid: elementGrid(output.count), block: 256, matrix.codes, matrix.absmax,
            matrix.nested?.absmax, matrix.nested?.table, matrix.nested?.offset ?? 0,
            Int32(matrix.nested?.blockSize ?? 1), Int32(matrix.blockSize), Int64(0), output,
            output.kernelType, Int64(output.count))
    }

    /// Blocks of 256 threads for kernels that take eight elements a thread and step: at most what
    /// the card holds at a time, eight a multiprocessor.
    func elementGrid(_ count: Int) -> Grid {
        .blocks(of: 8 * 256, covering: count, limit: 8 * max(card.multiprocessors, 1))
    }
}

extension Tensor {
    fileprivate func isSame(as other: Tensor) -> Bool {
        deviceAddress == other.deviceAddress && dtype == other.dtype && shape == other.shape
    }
}
