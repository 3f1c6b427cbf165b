package import OslerCompute
internal import OslerFormats
package import OslerModels

/// Writes a model whose linear layers are NF4, as transformers with bitsandbytes writes and loads it. Embeddings, head,
/// norms and biases stay dense.
///
/// Every layer is quantized twice: first for the scales, whose mean stands in a small JSON text of which a file's header
/// must know the length, then for the codes. So no more than one layer and all scales are in memory.
package struct ModelQuantizer {
    private let files: ModelFiles
    private let doubleQuantized: Bool
    private let backend: CPUBackend
    private let loader: ModelLoader
    private let progress: (Int, Int) throws -> Void

    /// - Parameters:
    ///   - precision: of what stays dense, and of the values before they are quantized; transformers' `dtype`.
    ///   - progress: called with weights done and weights in all.
    package init(
        _ files: ModelFiles, doubleQuantized: Bool, precision: Precision = .bfloat16,
        threads: Int? = nil, progress: @escaping (Int, Int) throws -> Void = { _, _ in }
    ) throws {
        guard !files.isPrequantized else {
            throw InputError(
                "is quantized already", file: files.path,
                remedy: "give the model that it was made from")
        }
        (self.files, self.doubleQuantized, self.progress) = (files, doubleQuantized, progress)
        backend = try CPUBackend(precision: precision, threads: threads)
        loader = try ModelLoader(files, backend: backend)
    }

    /// Writes the quantized model with its configuration and tokenizer into an existing folder.
    package func quantize(into folder: String) throws {
        try ModelFolder.writeDescription(
            of: files, into: folder,
            quantization: .init(
                doubleQuantized: doubleQuantized, precision: backend.precision))
        let weights = try files.configuration.weights()
        let byName = Dictionary(uniqueKeysWithValues: weights.map { ($0.name, $0) })
        let total = weights.count + weights.count { $0.module != nil }
        var done = 0
        var scales: [String: Scales] = [:]
        for weight in weights where weight.module != nil {
            scales[weight.name] = Scales(
                try quantized(weight), shape: weight.shape, precision: backend.precision)
            done += 1
            try progress(done, total)
        }
        let groups = weights.map { weight in
            scales[weight.name]?.entries(weight.name)
                ?? [.init(weight.name, storedType, weight.shape)]
        }
        try ShardedWeights.write(groups, into: folder) { entry, write in
            if let (name, part) = Scales.part(entry.name), let scales = scales[name] {
                return try scales.write(part, write)
            }
            guard let weight = byName[entry.name] else { return }
            if weight.module != nil {
                try quantized(weight).codes.withBytes(write)
            } else {
                try dense(weight).withBytes(write)
            }
            done += 1
            try progress(done, total)
        }
    }

    private var storedType: StoredType { backend.precision == .float32 ? .float32 : .bfloat16 }

    private func quantized(_ weight: ModelConfiguration.Weight) throws -> NF4Matrix {
        try NF4.quantize(
            try dense(weight), doubleQuantized: doubleQuantized, on: backend.pool)
    }

    private func dense(_ weight: ModelConfiguration.Weight) throws -> Tensor {
        guard case .dense(let tensor) = try loader.weight(weight.name, weight.shape) else {
            preconditionFailure("a quantized weight in a dense model")
        }
        let type = backend.precision.activationType
        if tensor.dtype == type { return tensor }
        let converted = try backend.tensor(type, weight.shape)
        backend.copy(tensor, to: converted)
        return converted
    }
}

/// What bitsandbytes stores of a quantized weight besides its codes.
private struct Scales {
    let absmax: Tensor
    let nested: NF4Matrix.Nested?
    /// bitsandbytes' `QuantState.as_dict(packed=True)`, JSON.
    let state: [UInt8]
    let codeCount: Int

    static let table = NF4.table

    enum Part: String, CaseIterable {
        case absmax = ".absmax"
        case table = ".quant_map"
        case nestedAbsmax = ".nested_absmax"
        case nestedTable = ".nested_quant_map"
        case state = ".quant_state.bitsandbytes__nf4"
    }

    init(_ matrix: NF4Matrix, shape: [Int], precision: Precision) {
        (absmax, nested) = (matrix.absmax, matrix.nested)
        codeCount = matrix.codes.count
        var json: JSON.Object = [
            "quant_type": "nf4", "blocksize": .integer(matrix.blockSize),
            "dtype": .string(precision == .float32 ? "float32" : "bfloat16"),
            "shape": .array(shape.map { .integer($0) }),
        ]
        if let nested = matrix.nested {
            json["nested_blocksize"] = .integer(nested.blockSize)
            json["nested_dtype"] = "float32"
            json["nested_offset"] = .number(Double(nested.offset))
        }
        state = Array(JSON.object(json).serialized().utf8)
    }

    /// `NAME.weight.absmax` is the part `absmax` of `NAME.weight`.
    static func part(_ tensor: String) -> (weight: String, part: Part)? {
        for part in Part.allCases where tensor.hasSuffix(".weight" + part.rawValue) {
            return (String(tensor.dropLast(part.rawValue.count)), part)
        }
        return nil
    }

    func entries(_ weight: String) -> [SafetensorsWriter.Entry] {
        func entry(_ part: Part, _ type: StoredType, _ count: Int) -> SafetensorsWriter.Entry {
            .init(weight + part.rawValue, type, [count])
        }
        var entries: [SafetensorsWriter.Entry] = [
            .init(weight, .uint8, [codeCount, 1]),
            entry(.absmax, nested == nil ? .float32 : .uint8, absmax.count),
            entry(.table, .float32, Self.table.count),
            entry(.state, .uint8, state.count),
        ]
        if let nested {
            entries.append(entry(.nestedAbsmax, .float32, nested.absmax.count))
            entries.append(entry(.nestedTable, .float32, nested.table.count))
        }
        return entries
    }

    func write(_ part: Part, _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
        switch part {
        case .absmax: try absmax.withBytes(write)
        case .table: try Self.table.withUnsafeBytes(write)
        case .state: try state.withUnsafeBytes(write)
        case .nestedAbsmax: if let nested { try nested.absmax.withBytes(write) }
        case .nestedTable: if let nested { try nested.table.withBytes(write) }
        }
    }
}

extension Tensor {
    /// Calls `body` with the elements' bytes; only for tensors of host backends. The memory lives as long as the call.
    func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime(storage) {
            try body(UnsafeRawBufferPointer(start: address, count: byteCount))
        }
    }
}
