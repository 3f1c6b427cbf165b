package import OslerCompute
package import OslerFormats

/// Tensors between safetensors files and backends.
extension DType {
    var storedType: StoredType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .int32: .int32
        case .uint8: .uint8
        }
    }
}

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
    /// Fills tensors with the values of the same name; float types are converted.
    ///
    /// - Throws: when one is missing or has another shape.
    package func read(
        _ tensors: [(name: String, tensor: Tensor)], backend: any Backend
    ) throws {
        for (name, tensor) in tensors {
            let stored = try self.tensor(name)
            guard stored.shape == tensor.shape else {
                throw InputError(
                    "shape \(stored.shape) where \(tensor.shape) is expected", file: path,
                    field: name, remedy: "the file belongs to another model or configuration")
            }
            if tensor.dtype == .float32 {
                backend.write(try stored.floats(), to: tensor)
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
    /// A dense weight in the form that the backend computes with: bfloat16 and (in float32 precision) float32 are used
    /// in place, everything else is converted.
    func denseWeight(backend: any Backend) throws -> Tensor {
        switch (type, backend.precision) {
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

extension WeightStore {
    /// bitsandbytes' 4-bit weight: codes, block scales and the JSON that describes them.
    ///
    /// - Throws: when a part is missing, or sizes or formats disagree with the shape.
    func nf4(_ name: String, shape: [Int], backend: any Backend) throws -> NF4Matrix {
        let stateName = name + ".quant_state.bitsandbytes__nf4"
        let stateTensor = try tensor(stateName)
        let file = stateTensor.file.path
        let state = try stateTensor.withBytes { try JSON.parse($0, file: file) }
        func refuse(_ key: String, _ problem: String) -> InputError {
            InputError(problem, file: file, field: stateName + ": " + key)
        }
        guard state["quant_type"]?.string == "nf4" else {
            throw refuse("quant_type", "not nf4")
        }
        guard state["shape"]?.array?.map(\.integer) == shape.map(Optional.some) else {
            throw refuse("shape", "not \(shape), as config.json asks for")
        }
        guard let blockSize = state["blocksize"]?.integer,
            [32, 64, 128, 256, 512, 1024, 2048, 4096].contains(blockSize)
        else { throw refuse("blocksize", "not a block size of bitsandbytes") }
        let blocks = (shape[0] * shape[1] + blockSize - 1) / blockSize
        let codes = try part(
            name, .uint8, count: (shape[0] * shape[1] + 1) / 2, backend: backend)
        guard let offset = state["nested_offset"]?.double else {
            let absmax = try part(name + ".absmax", .float32, count: blocks, backend: backend)
            return NF4Matrix(
                rows: shape[0], columns: shape[1], blockSize: blockSize, codes: codes,
                absmax: absmax, nested: nil)
        }
        let nestedSize = state["nested_blocksize"]?.integer ?? 256
        guard nestedSize == 256 else { throw refuse("nested_blocksize", "not 256") }
        let nested = NF4Matrix.Nested(
            absmax: try part(
                name + ".nested_absmax", .float32, count: (blocks + nestedSize - 1) / nestedSize,
                backend: backend),
            table: try part(name + ".nested_quant_map", .float32, count: 256, backend: backend),
            offset: Float(offset), blockSize: nestedSize)
        return NF4Matrix(
            rows: shape[0], columns: shape[1], blockSize: blockSize, codes: codes,
            absmax: try part(name + ".absmax", .uint8, count: blocks, backend: backend),
            nested: nested)
    }

    private func part(
        _ name: String, _ dtype: DType, count: Int, backend: any Backend
    ) throws -> Tensor {
        let stored = try tensor(name)
        guard stored.type == dtype.storedType, stored.count == count else {
            throw InputError(
                "\(stored.count) values of \(stored.type.rawValue) where \(count) of \(dtype.storedType.rawValue) are expected",
                file: stored.file.path, field: name, remedy: "the file is damaged")
        }
        let tensor = try backend.tensor(dtype, [count])
        stored.withBytes { backend.write($0, to: tensor) }
        return tensor
    }
}
