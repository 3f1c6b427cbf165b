package import OslerCompute

extension Backend {
    /// A tensor in memory of its own, uninitialised.
    package func tensor(_ dtype: DType, _ shape: [Int]) throws -> Tensor {
        let bytes = shape.reduce(1, *) * dtype.byteWidth
        return Tensor(storage: try allocate(byteCount: max(bytes, 64)), dtype: dtype, shape: shape)
    }

    package func write<Element>(_ values: [Element], to tensor: Tensor) {
        values.withUnsafeBytes { write($0, to: tensor) }
    }

    /// A float32 or bfloat16 tensor's values.
    package func floats(_ tensor: Tensor) throws -> [Float] {
        switch tensor.dtype {
        case .float32:
            return try [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
                try read(tensor, into: UnsafeMutableRawBufferPointer(buffer))
                count = tensor.count
            }
        case .bfloat16:
            let bits = try [UInt16](unsafeUninitializedCapacity: tensor.count) { buffer, count in
                try read(tensor, into: UnsafeMutableRawBufferPointer(buffer))
                count = tensor.count
            }
            return bits.map { Float(bitPattern: UInt32($0) << 16) }
        default: preconditionFailure("floats of a \(tensor.dtype) tensor")
        }
    }
}
