internal import OslerCompute

/// Memory that the backend keeps for its operations; each grows to the most that was asked for.
enum ScratchSlot: CaseIterable {
    /// The float32 sum of several products.
    case accumulator
    /// Left operands in the type of the product, up to so many different ones at a time.
    case leftOperand0, leftOperand1, leftOperand2, leftOperand3
    /// A right operand: NF4 decoded, or float32 rounded (in float32 precision bfloat16 widened).
    case decodedWeight, roundedWeight
    /// For attention and the optimizer's sums.
    case attention, reduction
}

extension CUDABackend {
    /// A uint8 tensor of `byteCount` bytes at least; nil after a failure.
    func scratch(_ slot: ScratchSlot, _ byteCount: Int) -> Tensor? {
        if let tensor = scratchBuffers[slot], tensor.byteCount >= byteCount { return tensor }
        // The former goes first: its work is waited for, and the two need not fit together.
        scratchBuffers[slot] = nil
        let result = newTensor(.uint8, [byteCount])
        scratchBuffers[slot] = result
        return result
    }

    /// A tensor in scratch; nil after a failure.
    func scratch(_ slot: ScratchSlot, _ dtype: DType, _ shape: [Int]) -> Tensor? {
        let byteCount = shape.reduce(1, *) * dtype.byteWidth
        guard let bytes = scratch(slot, byteCount) else { return nil }
        return Tensor(storage: bytes.storage, dtype: dtype, shape: shape)
    }

    /// A tensor with memory of its own; nil after a failure.
    func newTensor(_ dtype: DType, _ shape: [Int]) -> Tensor? {
        let byteCount = shape.reduce(1, *) * dtype.byteWidth
        var storage: Storage?
        perform { () throws(CUDAError) in storage = try newStorage(byteCount: byteCount) }
        return storage.map { Tensor(storage: $0, dtype: dtype, shape: shape) }
    }
}
