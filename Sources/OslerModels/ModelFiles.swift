package import OslerCompute
package import OslerFormats

/// A model on disk: a Hugging Face folder or a GGUF file.
package struct ModelFiles: Sendable {
    package enum Weights: Sendable {
        case safetensors(WeightStore)
        case gguf(GGUFFile)
    }
    package let path: String
    package let configuration: ModelConfiguration
    package let weights: Weights
    /// `config.json` as it stands; null for GGUF.
    package let json: JSON

    /// - Throws: when nothing is there, a file is missing or damaged, the model type is unknown, or the weights are not
    ///   those of the configuration.
    package init(_ path: String) throws {
        self.path = path
        if FileSystem.isDirectory(path) {
            let file = FileSystem.join(path, "config.json")
            guard FileSystem.exists(file) else {
                throw InputError(
                    "no config.json here", file: path,
                    remedy: "name a Hugging Face model folder, a .gguf file, or org/name on the hub"
                )
            }
            json = try JSON.parse(file: file)
            configuration = try ModelConfiguration(json: json, file: file)
            weights = .safetensors(try WeightStore(path))
        } else if FileSystem.exists(path) {
            let file = try GGUFFile(path)
            json = .null
            configuration = try GGUFModel.configuration(file)
            weights = .gguf(file)
        } else {
            throw InputError(
                "no such file or folder", file: path,
                remedy: "name a Hugging Face model folder, a .gguf file, or org/name on the hub")
        }
        try checkWeights()
    }

    /// Whether the backend reads the embedding's rows in the mapped file, and the rest of it needs no memory: it isn't
    /// the head too, and has a type to compute with (`StoredTensor.denseWeight`).
    package func embeddingStaysInFile(on backend: any Backend) -> Bool {
        guard backend.usesHostMemory, !configuration.tiedHead,
            case .safetensors(let store) = weights
        else { return false }
        let type = store["model.embed_tokens.weight"]?.type
        return type == .bfloat16 || type == .float32 && backend.precision == .float32
    }

    /// Whether the linear layers are stored in 4 bits by bitsandbytes.
    package var isPrequantized: Bool { json["quantization_config"]?["load_in_4bit"]?.bool == true }
}

/// What the linear layers are quantized to when they are loaded.
package enum WeightQuantization: Sendable, Equatable {
    /// Kept as they are.
    case none
    /// NF4, block 64; the block scales in 8 bits when double quantized.
    case nf4(doubleQuantized: Bool)
}

extension ModelFiles {
    /// Whether the block scales of a 4-bit checkpoint are in 8 bits themselves.
    package var isDoubleQuantized: Bool {
        json["quantization_config"]?["bnb_4bit_use_double_quant"]?.bool == true
    }
}
