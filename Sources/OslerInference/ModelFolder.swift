package import OslerCompute
internal import OslerFormats
package import OslerModels

/// What a Hugging Face model folder holds besides the weights: configuration and tokenizer.
package enum ModelFolder {
    /// NF4 by bitsandbytes, as `config.json` describes it.
    package struct Quantization: Sendable {
        package var doubleQuantized: Bool
        package var precision: Precision
        package init(doubleQuantized: Bool, precision: Precision) {
            (self.doubleQuantized, self.precision) = (doubleQuantized, precision)
        }
    }

    /// Files that are copied as they are, where there are any.
    private static let copied = [
        "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
        "chat_template.jinja", "chat_template.json",
    ]

    /// Writes `config.json`, `generation_config.json` and the tokenizer's files into an existing folder.
    ///
    /// - Parameter quantization: of the linear layers; nil: the model is bfloat16.
    package static func writeDescription(
        of files: ModelFiles, into folder: String, quantization: Quantization?
    ) throws {
        var config: JSON.Object
        switch files.weights {
        case .safetensors:
            config = files.json.object ?? [:]
            for name in copied {
                let source = FileSystem.join(files.path, name)
                guard FileSystem.exists(source) else { continue }
                try AtomicFile.write(
                    try FileSystem.read(source), to: FileSystem.join(folder, name))
            }
        case .gguf(let file):
            config = try GGUFFolder.config(files.configuration, file: file)
            try GGUFFolder.writeTokenizer(of: file, files.configuration, into: folder)
        }
        let type = quantization?.precision == .float32 ? "float32" : "bfloat16"
        // transformers 5 writes `dtype`, older versions `torch_dtype`.
        config[config["torch_dtype"] == nil ? "dtype" : "torch_dtype"] = .string(type)
        config["quantization_config"] = quantization.map(json)
        try AtomicFile.write(
            JSON.object(config).serialized(indent: 2, sortKeys: true) + "\n",
            to: FileSystem.join(folder, "config.json"))
    }

    /// transformers' `BitsAndBytesConfig.to_dict()`.
    private static func json(_ quantization: Quantization) -> JSON {
        let type = quantization.precision == .float32 ? "float32" : "bfloat16"
        return [
            "_load_in_4bit": true, "_load_in_8bit": false,
            "bnb_4bit_compute_dtype": .string(type), "bnb_4bit_quant_storage": "uint8",
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": .bool(quantization.doubleQuantized),
            "llm_int8_enable_fp32_cpu_offload": false, "llm_int8_has_fp16_weight": false,
            "llm_int8_skip_modules": .null, "llm_int8_threshold": 6.0, "load_in_4bit": true,
            "load_in_8bit": false, "quant_method": "bitsandbytes",
        ]
    }
}
