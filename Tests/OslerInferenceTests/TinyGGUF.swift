import OslerFormats
import OslerTestSupport

/// The tiny model of `lora/base` with its tokenizer as a GGUF file (version 3) of float32 tensors, written as llama.cpp's
/// converter does: the rows of the query and key projections interleaved.
enum TinyGGUF {
    /// - Parameters:
    ///   - changes: metadata to replace or add.
    ///   - ropeFrequencies: the values of a tensor `rope_freqs.weight`.
    static func write(
        to path: String, changes: [String: JSON] = [:], ropeFrequencies: [Float]? = nil
    ) throws {
        let store = try WeightStore(Fixtures.path("lora/base"))
        let config = try JSON.parse(file: Fixtures.path("lora/base/config.json"))
        var (header, data) = (Writer(), [UInt8]())
        let original = try metadata(config)
        let metadata =
            original.filter { changes[$0.0] == nil } + changes.sorted { $0.key < $1.key }.map { $0 }
        header.put(UInt32(0x4655_4747))
        header.put(UInt32(3))
        header.put(UInt64(store.tensors.count + (ropeFrequencies == nil ? 0 : 1)))
        header.put(UInt64(metadata.count))
        for (key, value) in metadata {
            header.put(key)
            header.put(value)
        }
        for tensor in store.tensors {
            header.put(name(tensor.name))
            header.put(UInt32(tensor.shape.count))
            for extent in tensor.shape.reversed() { header.put(UInt64(extent)) }
            header.put(UInt32(0))
            header.put(UInt64(data.count))
            let values = try interleaved(tensor, config)
            values.withUnsafeBytes { data += $0 }
        }
        if let ropeFrequencies {
            header.put("rope_freqs.weight")
            header.put(UInt32(1))
            header.put(UInt64(ropeFrequencies.count))
            header.put(UInt32(0))
            header.put(UInt64(data.count))
            ropeFrequencies.withUnsafeBytes { data += $0 }
        }
        let padding = [UInt8](repeating: 0, count: -header.bytes.count & 31)
        try AtomicFile.write(header.bytes + padding + data, to: path)
    }

    private static func metadata(_ config: JSON) throws -> [(String, JSON)] {
        let tokenizer = try JSON.parse(file: Fixtures.path("lora/tokenizer/tokenizer.json"))
        let vocabulary = tokenizer["model"]?["vocab"]?.object?.pairs ?? []
        let added = tokenizer["added_tokens"]?.array ?? []
        var tokens = [JSON](repeating: "", count: config["vocab_size"]?.integer ?? 0)
        var types = [JSON](repeating: 1, count: tokens.count)
        for (token, id) in vocabulary { tokens[id.integer ?? 0] = .string(token) }
        for token in added {
            guard let id = token["id"]?.integer else { continue }
            tokens[id] = token["content"] ?? .null
            types[id] = token["special"]?.bool == true ? 3 : 4
        }
        let merges = (tokenizer["model"]?["merges"]?.array ?? []).map { merge in
            JSON.string((merge.array ?? []).compactMap(\.string).joined(separator: " "))
        }
        let template = try FileSystem.readText(Fixtures.path("lora/tokenizer/chat_template.jinja"))
        func size(_ key: String) -> JSON { config[key] ?? .null }
        return [
            ("general.architecture", "llama"), ("llama.block_count", size("num_hidden_layers")),
            ("llama.context_length", size("max_position_embeddings")),
            ("llama.embedding_length", size("hidden_size")),
            ("llama.feed_forward_length", size("intermediate_size")),
            ("llama.attention.head_count", size("num_attention_heads")),
            ("llama.attention.head_count_kv", size("num_key_value_heads")),
            ("llama.attention.layer_norm_rms_epsilon", size("rms_norm_eps")),
            (
                "llama.rope.freq_base",
                .number(config["rope_parameters"]?["rope_theta"]?.double ?? 0)
            ),
            ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "llama-bpe"),
            ("tokenizer.ggml.tokens", .array(tokens)),
            ("tokenizer.ggml.token_type", .array(types)),
            ("tokenizer.ggml.merges", .array(merges)), ("tokenizer.ggml.bos_token_id", 1),
            ("tokenizer.ggml.eos_token_id", 2), ("tokenizer.ggml.padding_token_id", 0),
            ("tokenizer.ggml.add_bos_token", false), ("tokenizer.chat_template", .string(template)),
        ]
    }

    private static func name(_ name: String) -> String {
        let changes = [
            ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"),
            ("lm_head", "output"), ("model.layers", "blk"), ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"), ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
            ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"),
        ]
        return changes.reduce(name) { $0.replacing($1.0, with: $1.1) }
    }

    /// Row `2 i + half` of a head is row `half * h/2 + i` of transformers'.
    private static func interleaved(_ tensor: StoredTensor, _ config: JSON) throws -> [Float] {
        let values = try tensor.floats()
        let isQuery = tensor.name.hasSuffix("q_proj.weight")
        guard isQuery || tensor.name.hasSuffix("k_proj.weight") else { return values }
        let heads = config[isQuery ? "num_attention_heads" : "num_key_value_heads"]?.integer ?? 1
        let (rows, columns) = (tensor.shape[0], tensor.shape[1])
        let width = rows / heads
        return (0..<rows).flatMap { row in
            let (head, inside) = row.quotientAndRemainder(dividingBy: width)
            let source = head * width + inside % 2 * (width / 2) + inside / 2
            return values[source * columns..<(source + 1) * columns]
        }
    }

    private struct Writer {
        var bytes: [UInt8] = []

        mutating func put(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
        }
        mutating func put(_ text: String) {
            put(UInt64(text.utf8.count))
            bytes += text.utf8
        }
        /// A value with its type before it.
        mutating func put(_ value: JSON) {
            put(type(value))
            content(value)
        }
        private func type(_ value: JSON) -> UInt32 {
            switch value {
            case .integer(let integer): UInt32(exactly: integer) == nil ? 11 : 4
            case .number: 6
            case .bool: 7
            case .array: 9
            default: 8
            }
        }
        private mutating func content(_ value: JSON) {
            switch value {
            case .integer(let integer):
                if let small = UInt32(exactly: integer) { put(small) } else { put(Int64(integer)) }
            case .number(let number): put(Float(number).bitPattern)
            case .bool(let bool): put(UInt8(bool ? 1 : 0))
            case .array(let items):
                put(type(items[0]))
                put(UInt64(items.count))
                for item in items { content(item) }
            default: put(value.string ?? "")
            }
        }
    }
}
