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
    ])
    func `help has an example`(command: [String]) throws {
        let outcome = try osler(command + ["--help"])
        #expect(outcome.code == 0)
        #expect(outcome.output.contains("osler " + (command.first ?? "train")))
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
