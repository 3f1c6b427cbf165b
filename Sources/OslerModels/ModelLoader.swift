package import OslerCompute
internal import OslerFormats

/// Turns a model on disk into a model on a backend.
///
/// Dense weights stay in the file's format where the backend can compute with it (bfloat16; float32 in float32
/// precision), used in place from the mapped file; float16 becomes float32, or bfloat16 in bfloat16
/// precision. In float16 precision all become float16. Weights of GGUF files are rounded to bfloat16
/// after decoding (float16 in that precision), as transformers does with `dtype`. Vectors are
/// float32.
///
/// NF4 is made from dense weights as they would be held, but in float16 precision from the file's
/// own values, which float16 need not reach (GGUF: from their bfloat16).
package struct ModelLoader {
    let files: ModelFiles
    let backend: any Backend
    let quantization: WeightQuantization
    /// Called with bytes done and bytes in all.
    let progress: (Int, Int) -> Void
    /// Quantizes in host memory, which is this one's.
    private let pool: ThreadPool
    private let host: any Backend

    package init(
        _ files: ModelFiles, backend: any Backend, quantization: WeightQuantization = .none,
        progress: @escaping (Int, Int) -> Void = { _, _ in }
    ) throws {
        let threads = backend.usesHostMemory ? 1 : ThreadPool.availableCores
        pool = try backend.cpu?.pool ?? ThreadPool(threads: threads)
        host =
            backend.usesHostMemory && backend.precision != .float16
            ? backend
            : ReferenceBackend(precision: backend.precision == .bfloat16 ? .bfloat16 : .float32)
        (self.files, self.backend, self.quantization) = (files, backend, quantization)
        self.progress = progress
    }

    /// - Parameters:
    ///   - positions: the longest sequence that will be run.
    ///   - placement: where the blocks are kept.
    package func load(positions: Int, placement: Placement = Placement()) throws -> CausalLM {
        guard positions <= files.configuration.maxPositions else {
            throw InputError(
                "\(positions) tokens asked for, the model has \(files.configuration.maxPositions) positions",
                file: files.path, field: "max_length", remedy: "ask for fewer tokens")
        }
        try checkQuantization()
        var done = 0
        let total = files.configuration.parameterCount * 2
        return try CausalLM.build(
            files.configuration, backend: backend, positions: positions, placement: placement
        ) { name, shape in
            defer {
                done += shape.reduce(1, *) * 2
                progress(min(done, total), total)
            }
            return try weight(name, shape)
        }
    }

    private func checkQuantization() throws {
        guard let config = files.json["quantization_config"], !config.isNull else { return }
        let file = FileSystem.join(files.path, "config.json")
        guard config["load_in_4bit"]?.bool == true, config["bnb_4bit_quant_type"]?.string == "nf4"
        else {
            throw InputError(
                "unknown quantization", file: file, field: "quantization_config",
                remedy: "Osler reads bitsandbytes NF4 checkpoints and 16- and 32-bit ones")
        }
    }

    /// One weight by transformers' name, in the form in which `load` would hold it.
    package func weight(_ name: String, _ shape: [Int]) throws -> FrozenMatrix {
        switch try files.stored(name, shape) {
        case .nf4(let stored): return .nf4(try stored.matrix(backend))
        case .gguf(let stored, let file): return try weight(stored, in: file, name)
        case .dense(let stored):
            if shape.count == 1 { return .dense(try vector(try stored.floats(), shape)) }
            guard quantizes(name) else {
                return .dense(try stored.denseWeight(backend: backend))
            }
            defer { stored.release() }
            return .nf4(try quantized(try stored.denseWeight(backend: host)))
        }
    }

    private func weight(
        _ stored: GGUFTensor, in file: GGUFFile, _ name: String
    ) throws -> FrozenMatrix {
        defer { stored.release() }
        let shape = stored.shape
        let values: [Float]
        if let heads = GGUFModel.permutedHeads(name, files.configuration) {
            values = try UnpermutedTensor(stored, headCount: heads).floats()
        } else {
            values = try stored.floats()
        }
        let isQuantized = GGUFModel.isQuantized(file)
        let narrow: DType = backend.precision == .float16 ? .float16 : .bfloat16
        if shape.count == 1 {
            return .dense(try vector(isQuantized ? values.map(narrow.rounded) : values, shape))
        }
        let keepsFloat32 = !isQuantized && host.precision == .float32
        let type: DType = keepsFloat32 ? .float32 : .bfloat16
        if quantizes(name) { return .nf4(try quantized(try host.tensor(values, type, shape))) }
        return .dense(
            narrow == .float16
                ? try backend.float16Weight(values, shape, file: file.path, name: stored.name)
                : try backend.tensor(values, type, shape))
    }

    private func quantized(_ dense: Tensor) throws -> NF4Matrix {
        guard case .nf4(let doubleQuantized) = quantization else {
            preconditionFailure("nothing to quantize to")
        }
        let matrix = try NF4.quantize(dense, doubleQuantized: doubleQuantized, on: pool)
        return backend.usesHostMemory ? matrix : try matrix.copied(to: backend)
    }

    private func quantizes(_ name: String) -> Bool {
        quantization != .none && name.hasPrefix("model.layers.")
    }

    private func vector(_ values: [Float], _ shape: [Int]) throws -> Tensor {
        let tensor = try backend.tensor(.float32, shape)
        backend.write(values, to: tensor)
        return tensor
    }
}

extension NF4Matrix {
    /// From host memory to that of a backend.
    fileprivate func copied(to backend: any Backend) throws -> NF4Matrix {
        func copied(_ tensor: Tensor) throws -> Tensor {
            let copy = try backend.tensor(tensor.dtype, tensor.shape)
            backend.write(
                UnsafeRawBufferPointer(start: tensor.address, count: tensor.byteCount), to: copy)
            return copy
        }
        return NF4Matrix(
            rows: rows, columns: columns, blockSize: blockSize, codes: try copied(codes),
            absmax: try copied(absmax),
            nested: try nested.map {
                Nested(
                    absmax: try copied($0.absmax), table: try copied($0.table), offset: $0.offset,
                    blockSize: $0.blockSize)
            })
    }
}
