package import OslerCompute
package import OslerFormats

/// Tensors between safetensors files and backends.
extension DType {
    var storedType: StoredType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .float16: .float16
        case .int32: .int32
        case .uint8: .uint8
        }
    }
}

extension MappedFile: RereadableMemory {}

extension SafetensorsWriter {
    /// Writes tensors as they are held.
    package static func write(
        _ tensors: [(name: String, tensor: Tensor)], backend: any Backend, to path: String
    ) throws {
        var writer = try SafetensorsWriter(
            path,
            entries: tensors.map { Entry($0.name, $0.tensor.dtype.storedType, $0.tensor.shape) })
        let byName = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.tensor) })
        for entry in writer.entries {
            guard let tensor = byName[entry.name] else { continue }
            let bytes = try backend.bytes(tensor)
            try bytes.withUnsafeBytes { try writer.write(entry.name, $0) }
        }
        try writer.finish()
    }
}

extension SafetensorsFile {
    /// The tensor of this name and shape.
    func tensor(_ name: String, shape: [Int]) throws -> StoredTensor {
        let stored = try tensor(name)
        guard stored.shape == shape else {
            throw InputError(
                "shape \(stored.shape) where \(shape) is expected", file: path, field: name,
                remedy: "the file belongs to another model or configuration")
        }
        return stored
    }

    /// Fills tensors with the values of the same name; float types are converted.
    ///
    /// - Throws: when one is missing, has another shape, or holds numbers that are not finite.
    package func read(
        _ tensors: [(name: String, tensor: Tensor)], backend: any Backend
    ) throws {
        for (name, tensor) in tensors {
            let stored = try self.tensor(name, shape: tensor.shape)
            if tensor.dtype == .float32 {
                let values = try stored.floats()
                guard values.allSatisfy(\.isFinite) else {
                    throw InputError(
                        "not all values are finite", file: path, field: name,
                        remedy: "the file is damaged, or its training diverged: use another")
                }
                backend.write(values, to: tensor)
            } else if stored.type == tensor.dtype.storedType {
                stored.withBytes { backend.write($0, to: tensor) }
            } else {
                throw InputError(
                    "type \(stored.type.rawValue) where \(tensor.dtype.storedType.rawValue) is expected",
                    file: path, field: name)
            }
        }
    }
}

extension StoredTensor {
    /// A dense weight in the form that the backend computes with: bfloat16 and (in float32
    /// precision) float32, in float16 precision float16, are used in place; everything else is
    /// converted.
    func denseWeight(backend: any Backend) throws -> Tensor {
        switch (type, backend.precision) {
        case (.float16, .float16): return try inPlace(.float16, backend)
        case (.bfloat16, .float16), (.float32, .float16):
            return try backend.float16Weight(try floats(), shape, file: file.path, name: name)
        case (.bfloat16, _): return try inPlace(.bfloat16, backend)
        case (.float32, .float32): return try inPlace(.float32, backend)
        case (.float16, .float32):
            let tensor = try backend.tensor(.float32, shape)
            backend.write(try floats(), to: tensor)
            return tensor
        case (.float16, .bfloat16), (.float32, .bfloat16):
            let tensor = try backend.tensor(.bfloat16, shape)
            backend.write(try floats().map(FloatConversion.bfloat16), to: tensor)
            return tensor
        default:
            throw InputError(
                "type \(type.rawValue) is no weight's", file: file.path, field: name,
                remedy: "Osler reads F32, F16 and BF16 weights, and bitsandbytes NF4")
        }
    }

    private func inPlace(_ dtype: DType, _ backend: any Backend) throws -> Tensor {
        try withBytes { bytes in
            let isAligned = UInt(bitPattern: bytes.baseAddress) % UInt(dtype.byteWidth) == 0
            if isAligned {
                return Tensor(
                    storage: try backend.adopt(bytes, owner: file), dtype: dtype, shape: shape)
            }
            let tensor = try backend.tensor(dtype, shape)
            backend.write(bytes, to: tensor)
            return tensor
        }
    }
}

extension Backend {
    /// A weight of a file in float16.
    ///
    /// - Throws: when a value is beyond float16's largest number.
    func float16Weight(_ values: [Float], _ shape: [Int], file: String, name: String) throws
        -> Tensor
    {
        let bits = [UInt16](unsafeUninitializedCapacity: values.count) { buffer, filled in
            filled = values.count
            let output = UnsafeMutableBufferPointer(rebasing: buffer[..<filled])
            values.withUnsafeBufferPointer { FloatConversion.floatToFloat16($0, output) }
        }
        let isBeyond = { (i: Int) in bits[i] & 0x7FFF == 0x7C00 && values[i].isFinite }
        if let place = bits.indices.first(where: isBeyond) {
            throw InputError(
                "holds \(values[place]), and float16 ends at 65504", file: file, field: name,
                remedy: "compute in bfloat16 or float32: bf16: true, or dtype: float32")
        }
        let tensor = try tensor(.float16, shape)
        write(bits, to: tensor)
        return tensor
    }
}
