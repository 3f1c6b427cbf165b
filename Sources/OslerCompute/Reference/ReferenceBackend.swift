/// Every op in plain Swift, one thread, sums in double precision: slow and obviously right. Other
/// backends are tested against it; nothing else uses it.
///
/// In bfloat16 and float16 precision it rounds where the contract says so (operands of products,
/// stored activations) and nowhere else.
package final class ReferenceBackend: Backend {
    package let name = "reference"
    package let precision: Precision

    package init(precision: Precision) { self.precision = precision }

    package func allocate(byteCount: Int) throws -> Storage {
        try HostStorage.allocate(byteCount: byteCount)
    }
    package func adopt(
        _ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) throws -> Storage { HostStorage.adopt(bytes, owner: owner) }
    package func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) {
        precondition(bytes.count == tensor.byteCount)
        UnsafeMutableRawBufferPointer(start: tensor.address, count: tensor.byteCount)
            .copyMemory(from: bytes)
    }
    package func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) {
        precondition(bytes.count == tensor.byteCount)
        bytes.copyMemory(
            from: UnsafeRawBufferPointer(start: tensor.address, count: tensor.byteCount))
    }
    package func zero(_ tensor: Tensor) {
        UnsafeMutableRawBufferPointer(start: tensor.address, count: tensor.byteCount)
            .initializeMemory(as: UInt8.self, repeating: 0)
    }
    package func synchronize() {}

    package func copy(_ source: Tensor, to destination: Tensor) {
        precondition(source.count == destination.count)
        if source.dtype == destination.dtype {
            destination.address.copyMemory(from: source.address, byteCount: source.byteCount)
        } else {
            store(load(source), in: destination)
        }
    }

    /// float32, bfloat16 or float16 elements as doubles, which hold them exactly.
    func load(_ tensor: Tensor) -> [Double] {
        let type = tensor.dtype
        return switch type {
        case .float32: tensor.elements(as: Float.self).map(Double.init)
        case .bfloat16, .float16: tensor.elements(as: UInt16.self).map { Double(type.float($0)) }
        case .int32, .uint8: preconditionFailure("\(tensor.dtype) elements are no numbers here")
        }
    }

    /// Rounds once to the type of `tensor` (to 16 bits by way of float32, as every float32 kernel
    /// does).
    func store(_ values: [Double], in tensor: Tensor) {
        precondition(values.count == tensor.count, "\(values.count) values for \(tensor.shape)")
        for (i, value) in values.enumerated() {
            switch tensor.dtype {
            case .float32: tensor.elements(as: Float.self)[i] = Float(value)
            case .bfloat16, .float16:
                tensor.elements(as: UInt16.self)[i] = tensor.dtype.bits(Float(value))
            case .int32, .uint8: preconditionFailure("\(tensor.dtype) elements are no numbers here")
            }
        }
    }

    /// int32 elements, each at least 0 and below `limit`.
    func indices(_ tensor: Tensor, below limit: Int) -> [Int] {
        tensor.elements(as: Int32.self).map {
            precondition($0 >= 0 && $0 < limit, "index \($0) of \(limit)")
            return Int($0)
        }
    }
}
