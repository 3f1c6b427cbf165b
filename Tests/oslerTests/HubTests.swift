import Foundation
import OslerFormats
import OslerTestSupport
import Testing

/// The tiny model and a data set on a hub on the loopback interface, through the program itself.
@Suite struct `The hub at the command line` {
    private let place: Workplace
    private let hub: LoopbackHub
    private var home: String { place.path + "/home" }

    init() throws {
        (place, hub) = (try Workplace(), try LoopbackHub())
        var model: [String: [UInt8]] = [:]
        for name in try FileSystem.list(place.model) {
            model[name] = try FileSystem.read(place.model + "/" + name)
        }
        hub.add("models/org/tiny", .init(model, large: ["model.safetensors"]))
        let card = """
            ---
            configs:
            - config_name: en
              data_files: sft_*.json
            - config_name: parquet
              data_files:
              - {split: train, path: data/*.parquet}
            ---
            """
        hub.add(
            "datasets/org/medical",
            .init([
                "README.md": Array(card.utf8),
                "sft_en.json": try FileSystem.read(place.path + "/rows.jsonl"),
                "data/0.parquet": try FileSystem.read(Fixtures.path("parquet/zstd-plain.parquet")),
            ]))
        try place.edit("run.yaml") { text in
            text.replacing("base_model_name: \(place.model)", with: "base_model_name: org/tiny")
                .replacing(
                    "dataset_name: \(place.path)/rows.jsonl",
                    with: "dataset_name: org/medical\ndataset_config_name: en")
        }
    }

    @Test func `a recipe with names on the hub trains`() throws {
        let outcome = try run(["train", place.configuration])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("note: org/tiny: asking 127.0.0.1:"))
        #expect(outcome.errors.contains("note: org/tiny: fetching 5 of 5 files, "))
        #expect(outcome.errors.contains("note: org/medical: fetching 1 of 1 files, "))
        let adapter = try JSON.parse(file: place.path + "/out/adapter_config.json")
        #expect(adapter["base_model_name_or_path"]?.string == "org/tiny")
        #expect(try !FileSystem.list(home + "/hub/models--org--tiny/blobs").isEmpty)
        #expect(!hub.server.requests.contains { $0.target.contains("parquet") })

        // A second run without a network is the same run.
        let other = ["output_dir=\(place.path)/second", "local_files_only=true"]
        let again = try run(["train", place.configuration] + other, ["HF_ENDPOINT": nowhere])
        #expect(again.code == 0, "\(again.errors)")
        #expect(again.errors.isEmpty)
        let weights = "/adapter_model.safetensors"
        #expect(
            try FileSystem.read(place.path + "/out" + weights)
                == FileSystem.read(place.path + "/second" + weights))
    }

    @Test func `commands take names on the hub`() throws {
        let line = try run(["tokenize", "--model", "org/tiny"], input: "{\"text\": \"pain\"}\n")
        #expect(line.code == 0 && line.output.hasPrefix("{\"ids\": ["), "\(line.errors)")
        #expect(!hub.store.requests.contains { $0.target.contains("safetensors") })
        let score = try run(["score", "--model", "org/tiny"], input: "{\"ids\": [1, 2, 3]}\n")
        #expect(score.code == 0 && score.output.contains("logprobs"), "\(score.errors)")
    }

    @Test func `a mistyped path is not asked for anywhere`() throws {
        for name in ["/nowhere/model", "./a/b", "rows/missing.json", "a/b.gguf", "~/x/y"] {
            let outcome = try run(["inspect", name])
            #expect(
                outcome.code == 1 && outcome.errors.lowercased().contains("no such file"), "\(name)"
            )
        }
        #expect(hub.server.requests.isEmpty)
    }

    @Test func `what was downloaded is listed, measured and deleted`() throws {
        let download = try run(["download", "org/medical", "--dataset", "--include", "*.json"])
        #expect(download.code == 0, "\(download.errors)")
        let folder = download.output.trimmingCharacters(in: .newlines)
        #expect(try FileSystem.list(folder) == ["sft_en.json"])
        let list = try run(["cache", "list"])
        #expect(list.output.contains("org/medical  main 01234567"))
        #expect(try run(["cache", "size"]).output.hasSuffix(" MiB in \(home)/hub\n"))
        #expect(try run(["cache", "delete", "org/medical", "--dataset"]).code == 0)
        let missing = try run(["cache", "delete", "org/medical", "--dataset"])
        #expect(missing.code == 1 && missing.errors.contains("org/medical: not in the cache"))
        #expect(try run(["cache", "list"]).output.isEmpty)
    }

    @Test func `proxies are asked, unless NO_PROXY says otherwise`() throws {
        let elsewhere = ["HF_ENDPOINT": "http://hub.invalid", "http_proxy": hub.address]
        let outcome = try run(["download", "org/tiny", "--include", "config.json"], elsewhere)
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(hub.server.requests.allSatisfy { $0.target.hasPrefix("http://hub.invalid/") })
        let direct = ["http_proxy": nowhere, "NO_PROXY": "127.0.0.1"]
        #expect(try run(["download", "org/tiny", "--include", "tokenizer.json"], direct).code == 0)
    }

    @Test func `refusals are one line and exit code 1`() throws {
        let outcome = try run(["download", "org/unknown"])
        #expect(outcome.code == 1)
        #expect(outcome.errors.contains("org/unknown: no such public model on 127.0.0.1:"))
        let config = try run(["preflight", place.configuration, "dataset_config_name=fr"])
        #expect(config.code == 1)
        #expect(config.errors.contains(#"org/medical: has no configuration "fr""#))
        #expect(try run(["download"]).code == 64)
        for key in ["dataset_split", "eval_split", "dataset_config_name"] {
            let rows = ["dataset_name=\(place.path)/rows.jsonl", "dataset_config_name=null"]
            let file = try run(["preflight", place.configuration] + rows + ["\(key)=test"])
            #expect(file.code == 1 && file.errors.contains(": \(key): a file has no "), "\(key)")
        }
    }

    /// A port that nobody listens on.
    private let nowhere = "http://127.0.0.1:1"

    private func run(
        _ arguments: [String], _ environment: [String: String] = [:], input: String = ""
    ) throws -> Outcome {
        // What the machine of the tests has set is not meant for them.
        let own = [
            "HF_HOME": home, "HF_ENDPOINT": hub.address, "HF_HUB_CACHE": "", "HF_TOKEN": "",
            "HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "", "NO_PROXY": "127.0.0.1",
        ]
        return try osler(
            arguments, input: input, environment: own.merging(environment) { $1 })
    }
}
