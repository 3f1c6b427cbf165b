import OslerFormats
import OslerTestSupport
import Testing

/// The commands as a user runs them, on the tiny model.
@Suite struct CommandTests {
    private func logProbabilities(_ arguments: [String]) throws -> [Double] {
        let outcome = try osler(
            ["score", "--dtype", "float32"] + arguments,
            input: "{\"ids\": [1, 301, 273, 203, 37, 225]}\n")
        try #require(outcome.code == 0, "\(outcome.errors)")
        let json = try JSON.parse(outcome.output)
        return try #require(json["logprobs"]?.array).compactMap(\.double)
    }

    @Test func `train, score, merge, quantize, inspect, generate`() throws {
        let place = try Workplace()
        let trained = try osler(["train", place.configuration, "--json"])
        try #require(trained.code == 0, "\(trained.errors)")
        #expect(try JSON.parse(trained.output)["steps"]?.array?.count == 2)
        let adapter = place.path + "/out"
        let base = try logProbabilities(["--model", place.model])
        let tuned = try logProbabilities(["--model", place.model, "--adapter", adapter])
        #expect(base.count == 5 && base != tuned)

        let merged = place.path + "/merged"
        let merge = try osler(["merge", "--model", place.model, "--adapter", adapter, "-o", merged])
        try #require(merge.code == 0, "\(merge.errors)")
        for (a, b) in zip(try logProbabilities(["--model", merged]), tuned) {
            #expect(abs(a - b) < 5e-2)
        }
        let small = place.path + "/nf4"
        let quantize = try osler(["quantize", "--model", place.model, "-o", small])
        try #require(quantize.code == 0, "\(quantize.errors)")
        for (a, b) in zip(try logProbabilities(["--model", small]), base) {
            #expect(abs(a - b) < 1)
        }
        for path in [place.model, adapter, merged, small] {
            let inspect = try osler(["inspect", path, "--json"])
            #expect(inspect.code == 0)
            #expect(try JSON.parse(inspect.output).object != nil)
        }
        let generate = try osler([
            "generate", "--model", place.model, "--adapter", adapter, "--prompt", "Hello",
            "--greedy",
            "--max-new-tokens", "8", "--json",
        ])
        try #require(generate.code == 0, "\(generate.errors)")
        let ids = try #require(try JSON.parse(generate.output)["ids"]?.array)
        #expect((1...8).contains(ids.count))
    }

    @Test func `ids are scored without a tokenizer`() throws {
        let place = try Workplace()
        for name in try FileSystem.list(place.model) where name.hasPrefix("tokenizer") {
            try FileSystem.remove(place.model + "/" + name)
        }
        let input = "{\"ids\": [1, 301, 273]}\n{\"prompt\": \"a\", \"completion\": \"b\"}\n"
        let outcome = try osler(["score", "--model", place.model], input: input)
        // The first line is answered; the second one needs the tokenizer and says so.
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.count == 1, "\(outcome.output)")
        let scored = try JSON.parse(String(try #require(lines.first)))
        #expect(scored["logprobs"]?.array?.count == 2)
        #expect(outcome.code == 1)
        #expect(outcome.errors.contains("line 2"), "\(outcome.errors)")
        #expect(outcome.errors.contains("tokenizer.json"), "\(outcome.errors)")
    }

    @Test(arguments: [false, true])
    func `train says what its operations took and needed`(recomputes: Bool) throws {
        let place = try Workplace()
        let outcome = try osler([
            "train", place.configuration, "gradient_checkpointing=\(recomputes)", "--json",
            "--profile",
        ])
        try #require(outcome.code == 0, "\(outcome.errors)")
        let json = try JSON.parse(outcome.output)
        let profile = try #require(json["profile"])
        let operations = try #require(profile["operations"]?.array)
        let names = Set(operations.compactMap { $0["operation"]?.string })
        #expect(names.isSuperset(of: ["multiply", "attention", "linearCrossEntropy", "adamW"]))
        let seconds = try #require(profile["operation_seconds"]?.double)
        #expect(seconds > 0 && seconds <= (profile["seconds"]?.double ?? 0))
        let run = operations.reduce(0) { $0 + ($1["gflop"]?.double ?? 0) }
        let steps = try #require(json["steps"]?.array)
        let needed = steps.reduce(0) { $0 + ($1["needed_gflop"]?.double ?? 0) }
        #expect(needed > 0)
        if recomputes {
            #expect(run > needed && run < 2 * needed)
        } else {
            #expect(abs(run - needed) < 1e-9 * needed)
        }
    }

    @Test func `train ends with a table of what its operations took`() throws {
        let place = try Workplace()
        let text = try osler(["train", place.configuration, "--profile", "--quiet"])
        #expect(text.output.contains("between operations"))
    }

    @Test(arguments: [[], ["--nf4", "--target", "all-linear", "--loss", "dft", "--profile"]])
    func `bench train runs a shape without files`(more: [String]) throws {
        let outcome = try osler(
            [
                "bench", "train", "--shape", "smollm2-135m", "--random-weights", "--layers", "2",
                "--rows", "16", "--batch", "2", "--steps", "2", "--rank", "4", "--threads", "2",
                "--json",
            ] + more)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let json = try JSON.parse(outcome.output)
        #expect(json["layers"]?.integer == 2 && json["shape_layers"]?.integer == 30)
        let steps = try #require(json["steps"]?.array)
        #expect(steps.compactMap { $0["tokens"]?.integer } == [32, 32])
        #expect(steps.allSatisfy { $0["loss"]?.double?.isFinite == true })
        for key in ["tokens_per_second", "share_of_peak", "peak_gflops_per_second", "peak_bytes"] {
            #expect(json[key]?.double ?? 0 > 0, "\(key)")
        }
        // 12 of the 16 tokens of each row are in the loss: 4 flops a parameter of the head and token.
        let head = 4.0 * 576 * 49152 * 12 / 16 / 1e9
        #expect(abs((json["needed_gflop_per_token"]?["head"]?.double ?? 0) - head) < 1e-9)
        #expect((json["profile"] != nil) == more.contains("--profile"))
    }

    @Test(arguments: [
        (["--shape", "smollm2-135m"], "--random-weights"),
        (["--shape", "smollm2", "--random-weights"], "smollm2-135m"),
        (["--shape", "smollm2-135m", "--random-weights", "--layers", "31"], "from 1 to 30"),
        (["--shape", "smollm2-135m", "--random-weights", "--rows", "7"], "from 8 to 4194304"),
        (["--shape", "smollm2-135m", "--random-weights", "--max-memory", "8"], "like 700MB"),
    ])
    func `bench train refuses what it can't run`(arguments: [String], hint: String) throws {
        let outcome = try osler(["bench", "train"] + arguments)
        #expect(outcome.code == 64 && outcome.errors.contains(hint))
    }

    @Test func `bench train takes no more memory than it may`() throws {
        let outcome = try osler([
            "bench", "train", "--shape", "smollm2-135m", "--random-weights", "--max-memory", "1MB",
        ])
        #expect(outcome.code == 1 && outcome.errors.contains("--max-memory"), "\(outcome.errors)")
    }

    @Test func `tokenize and decode are inverse`() throws {
        let place = try Workplace()
        let text = "{\"text\": \"Fever and 40 °C\"}\n"
        let ids = try osler(["tokenize", "--model", place.model], input: text)
        #expect(ids.code == 0)
        let back = try osler(["tokenize", "--model", place.model, "--decode"], input: ids.output)
        #expect(try JSON.parse(back.output)["text"]?.string == "Fever and 40 °C")
    }

    @Test func `render writes the chat template`() throws {
        let place = try Workplace()
        let outcome = try osler(
            ["render", "--model", place.model, "--add-generation-prompt"],
            input: "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n")
        let text = try #require(try JSON.parse(outcome.output)["text"]?.string)
        #expect(text.contains("user\nHi<|im_end|>"))
        #expect(text.hasSuffix("<|im_start|>assistant\n"))
    }

    @Test func `split gives the rows of datasets`() throws {
        let outcome = try osler(["split", "--n", "10", "--test-size", "0.2", "--seed", "816"])
        let json = try JSON.parse(outcome.output)
        #expect(json["test"] == [3, 5])
        #expect(json["train"] == [8, 0, 1, 9, 6, 7, 2, 4])
    }

    @Test(arguments: [
        [], ["train"], ["preflight"], ["plan"], ["generate"], ["chat"], ["score"], ["merge"],
        ["quantize"],
        ["tokenize"], ["render"], ["split"], ["inspect"],
        ["bench"], ["bench", "train"], ["doctor"],
    ])
    func `help has an example`(command: [String]) throws {
        let outcome = try osler(command + ["--help"])
        #expect(outcome.code == 0)
        #expect(
            outcome.output.contains(
                "osler " + (command.isEmpty ? "train" : command.joined(separator: " "))))
    }

    @Test func `preflight can refuse what may identify a person`() throws {
        let place = try Workplace()
        let command = ["preflight", place.configuration, "--fail-on-phi"]
        #expect(try osler(command).code == 0)
        try place.edit("rows.jsonl") {
            $0.replacing("It is sign 3.", with: "Mr. Samplewood knows.")
        }
        #expect(try osler(["preflight", place.configuration]).code == 0)
        let outcome = try osler(command)
        #expect(outcome.code == 1)
        #expect(outcome.output.contains("(assistant, "))
        #expect(outcome.errors.contains("1 names") && outcome.errors.contains("--fail-on-phi"))
        #expect(
            !(outcome.output.split(separator: "sample:")[0] + outcome.errors).contains("Samplewood")
        )
    }

    @Test func `the recipes' keys are all known`() throws {
        let place = try Workplace()
        for recipe in ["seed-readme", "seed-notebook", "quickstart"] {
            let outcome = try osler(
                [
                    "preflight", Fixtures.root + "/recipes/\(recipe).yaml",
                    "base_model_name=\(place.model)",
                    "dataset_name=\(place.path)/rows.jsonl",
                ] + (recipe == "seed-readme" ? ["model_name_or_path=\(place.model)"] : []))
            #expect(outcome.code == 0, "\(recipe): \(outcome.errors)")
        }
    }
}
