internal import OslerCompute
internal import OslerFormats

/// A weight as it lies in the files: its shape, and the sizes of all its parts, are those that were asked for.
enum StoredWeight {
    case dense(StoredTensor)
    case nf4(StoredNF4)
    case gguf(GGUFTensor, in: GGUFFile)
}

extension ModelFiles {
    /// The weight of transformers' name.
    ///
    /// - Throws: when it is missing, or has another shape.
    func stored(_ name: String, _ shape: [Int]) throws -> StoredWeight {
        switch weights {
        case .gguf(let file):
            guard let storedName = GGUFModel.tensorName(name), let tensor = file[storedName] else {
                throw missing(name)
            }
            try check(tensor.shape, shape, file: file.path, name: storedName)
            return .gguf(tensor, in: file)
        case .safetensors(let store):
            if let state = store[name + StoredNF4.stateSuffix] {
                guard isPrequantized, StoredNF4.canReplace(name) else {
                    throw InputError(
                        "4-bit where a dense weight is expected", file: state.file.path,
                        field: name,
                        remedy:
                            "config.json belongs to another model, or misses quantization_config")
                }
                return .nf4(try StoredNF4(name, shape, state, store))
            }
            guard let tensor = store[name] else { throw missing(name) }
            try check(tensor.shape, shape, file: tensor.file.path, name: name)
            return .dense(tensor)
        }
    }

    /// Holds every weight that the configuration asks for against the headers of the files: from then on each size of
    /// the configuration is one that the files really have, and can be multiplied and allocated.
    func checkWeights() throws {
        let backend = PlanningBackend(precision: .float32)
        _ = try CausalLM.build(configuration, backend: backend, positions: 1) { name, shape in
            _ = try stored(name, shape)
            return .dense(try backend.tensor(.float32, shape))
        }
        let next = "model.layers.\(configuration.layers).input_layernorm.weight"
        guard (try? stored(next, [configuration.hiddenSize])) == nil else {
            throw InputError(
                "the weights have more than the \(configuration.layers) layers of the configuration",
                file: path, field: next, remedy: "the configuration is another model's")
        }
    }

    private func check(_ found: [Int], _ expected: [Int], file: String, name: String) throws {
        guard found == expected else {
            throw InputError(
                "shape \(found) where the configuration asks for \(expected)", file: file,
                field: name, remedy: "the configuration is another model's, or the file is damaged")
        }
    }

    private func missing(_ name: String) -> InputError {
        InputError(
            "missing from the weights", file: path, field: name,
            remedy: "the download may be incomplete, or config.json belongs to another model")
    }
}
