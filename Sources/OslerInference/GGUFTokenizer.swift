internal import OslerFormats

/// A byte-level BPE tokenizer in a GGUF file's metadata, to be written as Hugging Face's `tokenizer.json`.
struct GGUFTokenizer {
    private let file: GGUFFile
    private let tokens: [String]
    private let types: [Int]
    private let merges: [JSON]
    private let pre: Pre

    /// What `tokenizer.ggml.pre` stands for.
    private enum Pre: CaseIterable {
        case gpt2, digits, llama3, qwen2

        /// llama.cpp's names for it.
        var names: [String] {
            switch self {
            case .gpt2: ["gpt-2", "phi-2", "mpt", "olmo"]
            case .digits: ["smollm", "starcoder", "refact", "command-r", "codeshell"]
            case .llama3: ["llama-bpe", "llama3", "llama-v3"]
            case .qwen2: ["qwen2", "deepseek-r1-qwen"]
            }
        }
    }

    init(_ file: GGUFFile) throws {
        self.file = file
        guard file.metadata["tokenizer.ggml.model"]?.string == "gpt2" else {
            let found = file.metadata["tokenizer.ggml.model"]?.string ?? "none"
            throw InputError(
                "tokenizer \"\(found)\" can't be written as tokenizer.json", file: file.path,
                field: "tokenizer.ggml.model", remedy: "use the model's Hugging Face folder")
        }
        let name = file.metadata["tokenizer.ggml.pre"]?.string ?? "none"
        guard let pre = Pre.allCases.first(where: { $0.names.contains(name) }) else {
            throw InputError(
                "pre-tokenizer \"\(name)\" can't be written as tokenizer.json", file: file.path,
                field: "tokenizer.ggml.pre", remedy: "use the model's Hugging Face folder")
        }
        self.pre = pre
        tokens = try Self.list("tokenizer.ggml.tokens", file) { $0.string }
        types = try Self.list("tokenizer.ggml.token_type", file) { $0.integer }
        merges = try Self.list("tokenizer.ggml.merges", file) { merge in
            // A merge never has a space of its own: it is spelled Ġ.
            let sides = merge.string?.split(separator: " ") ?? []
            return sides.count == 2 ? .array(sides.map { .string(String($0)) }) : nil
        }
        guard types.count == tokens.count else {
            throw InputError(
                "\(types.count) types for \(tokens.count) tokens", file: file.path,
                field: "tokenizer.ggml.token_type")
        }
    }

    private static func list<Element>(
        _ key: String, _ file: GGUFFile, _ element: (JSON) -> Element?
    ) throws -> [Element] {
        let values = file.metadata[key]?.array ?? []
        let elements = values.compactMap(element)
        guard !elements.isEmpty, elements.count == values.count else {
            throw InputError("missing or damaged", file: file.path, field: key)
        }
        return elements
    }

    // MARK: tokenizer.json

    var json: JSON {
        [
            "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": addedTokens,
            "normalizer": pre == .qwen2 ? ["type": "NFC"] : .null, "pre_tokenizer": preTokenizer,
            "post_processor": postProcessor, "decoder": byteLevel(usesExpression: true),
            "model": model,
        ]
    }

    /// Control tokens (type 3) are special, user-defined ones (4) are added but not special.
    private func isAdded(_ id: Int) -> Bool { types[id] == 3 || types[id] == 4 }

    private var addedTokens: JSON {
        .array(
            tokens.indices.filter(isAdded).map { id in
                [
                    "id": .integer(id), "content": .string(tokens[id]), "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false,
                    "special": .bool(types[id] == 3),
                ]
            })
    }

    private var preTokenizer: JSON {
        let steps: [JSON]
        switch pre {
        case .gpt2: return byteLevel(usesExpression: true)
        case .digits:
            steps = [
                ["type": "Digits", "individual_digits": true], byteLevel(usesExpression: true),
            ]
        case .llama3: steps = [split(digits: #"\p{N}{1,3}"#), byteLevel(usesExpression: false)]
        case .qwen2:
            steps = [split(digits: #"\p{N}"#), byteLevel(usesExpression: false)]
        }
        return ["type": "Sequence", "pretokenizers": .array(steps)]
    }

    /// Llama 3's expression, and Qwen 2's, which differ in how many digits stand together.
    private func split(digits: String) -> JSON {
        let expression =
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        return [
            "type": "Split", "pattern": ["Regex": .string(expression)], "behavior": "Isolated",
            "invert": false,
        ]
    }

    private func byteLevel(usesExpression: Bool) -> JSON {
        [
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": .bool(usesExpression),
        ]
    }

    /// A BOS in front of the text where the file asks for one.
    private var postProcessor: JSON {
        let addsBOS = file.metadata["tokenizer.ggml.add_bos_token"]?.bool ?? (pre == .llama3)
        guard addsBOS, let bos = special("bos"), let id = tokens.firstIndex(of: bos)
        else { return .null }
        func piece(_ type: Int) -> JSON {
            ["SpecialToken": ["id": .string(bos), "type_id": .integer(type)]]
        }
        func sequence(_ name: String, _ type: Int) -> JSON {
            ["Sequence": ["id": .string(name), "type_id": .integer(type)]]
        }
        return [
            "type": "TemplateProcessing", "single": [piece(0), sequence("A", 0)],
            "pair": [piece(0), sequence("A", 0), piece(1), sequence("B", 1)],
            "special_tokens": .object([
                bos: ["id": .string(bos), "ids": [.integer(id)], "tokens": [.string(bos)]]
            ]),
        ]
    }

    private var model: JSON {
        return [
            "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
            "end_of_word_suffix": .null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": .bool(pre == .llama3),
            "vocab": .object(.init(tokens.indices.map { (tokens[$0], .integer($0)) })),
            "merges": .array(merges),
        ]
    }

    // MARK: tokenizer_config.json

    var configuration: JSON {
        var object: JSON.Object = ["tokenizer_class": "PreTrainedTokenizerFast"]
        for (name, key) in [("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")]
        {
            if let token = special(key) { object[name + "_token"] = .string(token) }
        }
        object["clean_up_tokenization_spaces"] = false
        object["model_max_length"] =
            file.metadata[(file.metadata["general.architecture"]?.string ?? "") + ".context_length"]
        object["chat_template"] = file.metadata["tokenizer.chat_template"]
        return .object(object)
    }

    /// The token that `tokenizer.ggml.<name>_token_id` gives.
    private func special(_ name: String) -> String? {
        guard let id = file.metadata["tokenizer.ggml.\(name)_token_id"]?.integer,
            tokens.indices.contains(id)
        else { return nil }
        return tokens[id]
    }
}
