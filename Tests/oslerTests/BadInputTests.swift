import OslerFormats
import OslerTestSupport
import Testing

/// Whatever is wrong with what the user gave: one clear line, exit code 1, nothing half-written.
@Suite struct BadInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        /// Parts of the one line.
        let expected: [String]
        var arguments: [String] = []
        var change: @Sendable (Workplace) throws -> Void = { _ in }
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "missing model", expected: ["no-such", "no such file"],
            arguments: ["base_model_name=no-such"]),
        Case(
            name: "missing data", expected: ["no-such.json"],
            arguments: ["dataset_name=no-such.json"]),
        Case(
            name: "unknown key", expected: ["learning_rat", "did you mean learning_rate?"],
            arguments: ["learning_rat=1"]),
        Case(
            name: "wrong value", expected: ["max_steps", "whole number"],
            arguments: ["max_steps=many"]),
        Case(
            name: "unknown optimizer", expected: ["optim", "adamw_8bit"], arguments: ["optim=lion"]),
        Case(
            name: "fp4", expected: ["bnb_4bit_quant_type", "nf4"], arguments: ["load_in_4bit=true"]),
        Case(
            name: "no such layer", expected: ["target_modules", "q_proj"],
            arguments: ["target_modules=[q_prj]"]),
        Case(name: "fp16", expected: ["fp16", "bf16"], arguments: ["fp16=true"]),
        Case(name: "unknown device", expected: ["device", "cuda"], arguments: ["device=tpu"]),
        Case(
            name: "GPU that isn't there", expected: ["device", "cuda:99 can't be used"],
            arguments: ["device=cuda:99"]),
        Case(
            name: "unwritable folder", expected: ["/dev/null"],
            arguments: ["output_dir=/dev/null/out"]),
        Case(
            name: "nothing to resume", expected: ["no checkpoint"],
            arguments: ["resume_from_checkpoint=latest"]),
        Case(
            name: "malformed YAML", expected: ["run.yaml", "line 2"],
            change: { try $0.edit("run.yaml") { "a: [1, 2\n" + $0 } }),
        Case(
            name: "malformed JSON", expected: ["rows.jsonl", "line 3"],
            change: { place in
                try place.edit("rows.jsonl") {
                    $0.replacing("What does sign 2", with: "\" What does sign 2")
                }
            }),
        Case(
            name: "empty data", expected: ["rows.jsonl", "no rows"],
            change: { try $0.write("", "rows.jsonl") }),
        Case(
            name: "row without a column", expected: ["rows.jsonl", "row 4", "Response"],
            change: { place in
                try place.edit("rows.jsonl") {
                    $0.replacing("\"Response\": \"Rest 4.\"", with: "\"Answer\": 1")
                }
            }),
        Case(
            name: "unknown model type",
            expected: ["config.json", "model_type", "llama, qwen2, qwen3"],
            change: {
                try $0.edit("model/config.json") { $0.replacing("\"llama\"", with: "\"mamba\"") }
            }),
        Case(
            name: "wrong shape", expected: ["model.safetensors", "shape"],
            change: { place in
                try place.edit("model/config.json") {
                    $0.replacing("\"intermediate_size\": 192", with: "\"intermediate_size\": 200")
                }
            }),
        Case(
            name: "a vocabulary smaller than the weights",
            expected: ["model.safetensors", "embed_tokens", "[512, 64]", "[100, 64]"],
            change: { place in
                try place.edit("model/config.json") {
                    $0.replacing("\"vocab_size\": 512", with: "\"vocab_size\": 100")
                }
            }),
        Case(
            name: "cut weights", expected: ["model.safetensors"],
            change: { try $0.cut("model/model.safetensors", to: 400_000) }),
        Case(
            name: "cut header", expected: ["model.safetensors"],
            change: { try $0.cut("model/model.safetensors", to: 100) }),
        Case(
            name: "cut tokenizer", expected: ["tokenizer.json"],
            change: { try $0.cut("model/tokenizer.json", to: 5000) }),
        Case(
            name: "cut configuration", expected: ["config.json"],
            change: { try $0.cut("model/config.json", to: 50) }),
        Case(
            name: "too many threads", expected: ["threads"], arguments: ["threads=0"]),
        Case(
            name: "diverging",
            expected: ["loss of step 2 is not finite", "rows [", "learning_rate"],
            arguments: ["learning_rate=1e30"]),
        Case(
            name: "rows too long", expected: ["max_length"],
            arguments: ["max_length=8"]),
    ]

    @Test(arguments: cases)
    func `one line and exit code 1`(_ item: Case) throws {
        let place = try Workplace()
        try item.change(place)
        let outcome = try osler(["train", place.configuration, "--quiet"] + item.arguments)
        #expect(outcome.code == 1)
        let lines = outcome.errors.split(separator: "\n")
        #expect(lines.count == 1, "\(outcome.errors)")
        for part in item.expected {
            #expect(outcome.errors.contains(part), "\(part) in: \(outcome.errors)")
        }
        #expect(!FileSystem.exists(place.path + "/out/adapter_model.safetensors"))
    }

    /// What a user gives to the other commands.
    static let commands: [Case] = [
        Case(
            name: "heads that the kernels can't have", expected: ["config.json", "head_dim", "12"],
            change: { place in
                try place.edit("model/config.json") {
                    $0.replacing("\"head_dim\": 16", with: "\"head_dim\": 12")
                }
            }),
        Case(
            name: "layers without end",
            expected: ["model.layers.3.self_attn.q_proj.weight", "missing"],
            change: { place in
                try place.edit("model/config.json") {
                    $0.replacing(
                        "\"num_hidden_layers\": 3", with: "\"num_hidden_layers\": 2147483647")
                }
            }),
        Case(
            name: "an infinite number", expected: ["config.json", "rms_norm_eps"],
            change: { place in
                try place.edit("model/config.json") {
                    $0.replacing("\"rms_norm_eps\": 1e-05", with: "\"rms_norm_eps\": 1e400")
                }
            }),
        Case(
            name: "a token id beyond the embedding",
            expected: ["vocab_size", "tokenizer has 601", "512"],
            change: { place in
                try place.edit("model/tokenizer.json") {
                    $0.replacing(
                        "\"added_tokens\": [",
                        with: #""added_tokens": [{"id": 600, "content": "<new>"},"#)
                }
            }),
        Case(
            name: "a negative token id", expected: ["tokenizer.json", "added_tokens[0]", "id"],
            change: { place in
                try place.edit("model/tokenizer.json") {
                    $0.replacing(
                        "\"added_tokens\": [",
                        with: #""added_tokens": [{"id": -1, "content": "<new>"},"#)
                }
            }),
    ]

    @Test(arguments: commands, ["train", "preflight", "plan", "generate", "score", "merge"])
    func `every command refuses a hostile model`(_ item: Case, command: String) throws {
        let place = try Workplace()
        try item.change(place)
        let outcome =
            switch command {
            case "train", "preflight", "plan": try osler([command, place.configuration])
            case "generate":
                try osler([command, "--model", place.model, "--prompt", "Hello", "--greedy"])
            case "score":
                try osler(
                    [command, "--model", place.model],
                    input: "{\"prompt\": \"a\", \"completion\": \"b\"}\n")
            default:
                try osler([
                    command, "--model", place.model, "--adapter", Fixtures.path("lora/qkvo"),
                    "-o", place.path + "/merged",
                ])
            }
        #expect(outcome.code == 1)
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
        for part in item.expected {
            #expect(outcome.errors.contains(part), "\(part) in: \(outcome.errors)")
        }
        #expect(!FileSystem.exists(place.path + "/out/adapter_model.safetensors"))
        #expect(!FileSystem.exists(place.path + "/merged"))
    }

    @Test(arguments: [
        ("temperature", "0"), ("temperature", "NaN"), ("temperature", "1e400"), ("top_p", "-1"),
        ("top_p", "2"), ("top_k", "-5"), ("top_k", "1e300"), ("top_k", "\"many\""),
    ]) func `a hostile generation_config is refused`(key: String, value: String) throws {
        let place = try Workplace()
        try place.write(
            "{\"do_sample\": true, \"\(key)\": \(value)}", "model/generation_config.json")
        let outcome = try osler(["generate", "--model", place.model, "--prompt", "Hello"])
        #expect(outcome.code == 1)
        for part in ["generation_config.json: \(key): not ", "or --greedy\n"] {
            #expect(outcome.errors.contains(part), "\(part) in: \(outcome.errors)")
        }
    }

    @Test(arguments: ["train", "preflight", "plan"], ["osler", "trl"])
    func `rows of ids beyond the vocabulary are refused`(command: String, rules: String) throws {
        let place = try Workplace()
        try place.write(
            String(repeating: "{\"input_ids\": [1, 512, 2]}\n", count: 10), "rows.jsonl")
        let outcome = try osler([command, place.configuration, "compat=\(rules)"])
        #expect(outcome.code == 1)
        for part in ["rows.jsonl: row ", "input_ids", "512"] {
            #expect(outcome.errors.contains(part), "\(part) in: \(outcome.errors)")
        }
    }

    @Test(arguments: [["train"], ["generate", "--model"], ["split", "--n", "x"], ["nonsense"]])
    func `wrong usage is exit code 64`(arguments: [String]) throws {
        #expect(try osler(arguments).code == 64)
    }

    @Test func `an adapter of another model is refused`() throws {
        let place = try Workplace()
        let outcome = try osler(
            [
                "score", "--model", Fixtures.path("model/qwen3"), "--adapter",
                Fixtures.path("lora/qkvo"),
            ],
            input: "{\"ids\": [1, 2]}\n")
        #expect(outcome.code == 1)
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
        withExtendedLifetime(place) {}
    }

    @Test func `ids beyond the vocabulary are refused`() throws {
        let place = try Workplace()
        let outcome = try osler(
            ["score", "--model", place.model], input: "{\"ids\": [1, 5000]}\n")
        #expect(outcome.code == 1)
        #expect(outcome.errors.contains("5000"), "\(outcome.errors)")
    }
}
