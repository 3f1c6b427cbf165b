package import OslerCompute
package import OslerFormats

/// Turns a model on disk into a model on a backend.
///
/// Dense weights stay in the file's format where the backend can compute with it (bfloat16; float32 in float32
/// precision), used in place from the mapped file; float16 becomes float32, or bfloat16 in bfloat16 precision. Weights
/// of GGUF files are rounded to bfloat16 after decoding, as transformers does with `dtype=bfloat16`. Vectors are float32.
package struct ModelLoader {
    let files: ModelFiles
    let backend: any Backend
    let quantization: WeightQuantization
    /// Called with bytes done and bytes in all.
    let progress: (Int, Int) -> Void

    package init(
        _ files: ModelFiles, backend: any Backend, quantization: WeightQuantization = .none,
        progress: @escaping (Int, Int) -> Void = { _, _ in }
    ) {
        (self.files, self.backend, self.quantization) = (files, backend, quantization)
        self.progress = progress
    }

    /// - Parameter positions: the longest sequence that will be run.
    package func load(positions: Int) throws -> CausalLM {
        guard positions <= files.configuration.maxPositions else {
            throw InputError(
                "\(positions) tokens asked for, the model has \(files.configuration.maxPositions) positions",
                file: files.path, field: "max_length", remedy: "ask for fewer tokens")
        }
        try checkQuantization()
        var done = 0
        let total = files.configuration.parameterCount * 2
        return try CausalLM.build(files.configuration, backend: backend, positions: positions) {
            name, shape in
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

    private func weight(_ name: String, _ shape: [Int]) throws -> FrozenMatrix {
        switch files.weights {
        case .gguf(let file): return try weight(file, name, shape)
        case .safetensors(let store):
            if shape.count == 2, store.contains(name + ".quant_state.bitsandbytes__nf4") {
                return .nf4(try store.nf4(name, shape: shape, backend: backend))
            }
            guard let view = store[name] else { throw missing(name) }
            guard view.shape == shape else {
                throw InputError(
                    "shape \(view.shape) where the configuration asks for \(shape)",
                    file: view.file, field: name,
                    remedy: "config.json belongs to another model, or the file is damaged")
            }
            if shape.count == 1 { return .dense(try vector(try view.floats(), shape)) }
            if quantizes(name) { return try quantized(try view.floatsRows(), shape) }
            return .dense(try view.tensor(backend: backend))
        }
    }

    private func weight(_ file: GGUFFile, _ name: String, _ shape: [Int]) throws -> FrozenMatrix {
        guard let stored = GGUFModel.tensorName(name), let found = file.shape(of: stored) else {
            throw missing(name)
        }
        guard found == shape else {
            throw InputError(
                "shape \(found) where the metadata asks for \(shape)", file: file.path,
                field: stored, remedy: "the file is damaged")
        }
        var values = try file.floats(of: stored)
        if let heads = GGUFModel.permutedHeads(name, files.configuration) {
            values = undoLlamaPermutation(
                values, rows: shape[0], columns: shape.count > 1 ? shape[1] : 1, heads: heads)
        }
        if file.isQuantized { roundToBFloat16(&values) }
        if shape.count == 1 { return .dense(try vector(values, shape)) }
        if quantizes(name) { return try quantized(values, shape) }
        let keepsFloat32 = !file.isQuantized && backend.precision == .float32
        let tensor = try backend.tensor(keepsFloat32 ? .float32 : .bfloat16, shape)
        if keepsFloat32 {
            backend.write(values, to: tensor)
        } else {
            backend.write(values.map(bfloat16Bits), to: tensor)
        }
        return .dense(tensor)
    }

    private func quantizes(_ name: String) -> Bool {
        quantization != .none && name.hasPrefix("model.layers.")
    }

    private func vector(_ values: [Float], _ shape: [Int]) throws -> Tensor {
        let tensor = try backend.tensor(.float32, shape)
        backend.write(values, to: tensor)
        return tensor
    }

    private func missing(_ name: String) -> InputError {
        InputError(
            "missing from the weights", file: files.path, field: name,
            remedy: "the download may be incomplete, or config.json belongs to another model")
    }
}
