import OslerFormats
import OslerTestSupport
import Testing

/// `osler evaluate` and `eval_tasks` as a user runs them, on the tiny model.
@Suite struct EvaluateTests {
    private func place() throws -> Workplace {
        let place = try Workplace()
        let rows = (0..<6).map {
            #"{"question": "What does sign \#($0) mean?", "options": {"A": "rest", "B": "a walk"}, "answer_idx": "\#($0 % 2 == 0 ? "A" : "B")", "source": "s\#($0 % 2)"}"#
        }
        try place.write(rows.joined(separator: "\n"), "quiz.jsonl")
        return place
    }

    private func evaluate(_ place: Workplace, _ arguments: [String]) throws -> Outcome {
        try osler(
            ["evaluate", "--model", place.model, "--max-new-tokens", "6", "--threads", "2"]
                + arguments)
    }

    @Test func `train compares at its end, evaluate compares again`() throws {
        let place = try place()
        let trained = try osler([
            "train", place.configuration, "eval_tasks=\(place.path)/quiz.jsonl",
            "eval_tasks_max_new_tokens=6", "learning_rate=0.1",
        ])
        try #require(trained.code == 0, "\(trained.errors)")
        #expect(trained.output.contains("quiz: 6 items, generate"))
        let written = place.path + "/out/evaluation/"
        let end = try JSON.parse(file: written + "comparison.json")
        #expect(end["tasks"]?.array?.first?["tuned"]?["count"] == 6)
        #expect(try FileSystem.readText(written + "items.jsonl").split(separator: "\n").count == 6)

        for method in ["generate", "loglikelihood"] {
            let output = place.path + "/" + method
            let outcome = try evaluate(
                place,
                [
                    "--adapter", place.path + "/out", "--tasks", place.path + "/quiz.jsonl",
                    "--compare-base", "--method", method, "--output", output, "--training-data",
                    place.path + "/rows.jsonl",
                ])
            try #require(outcome.code == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("quiz: 6 items, \(method)"))
            let json = try JSON.parse(file: output + "/comparison.json")
            let task = try #require(json["tasks"]?.array?.first)
            #expect(task["per_source"]?.array?.map { $0["source"] } == ["s0", "s1"])
            #expect(task["difference_low"]?.double != nil && task["mcnemar_p"]?.double != nil)
            // The training rows ask the same questions.
            #expect(task["contamination"]?["count"] == 6)
            let items = try FileSystem.readText(output + "/items.jsonl").split(separator: "\n")
                .map { try JSON.parse(String($0)) }
            #expect(items.count == 6)
            #expect(items.allSatisfy { $0["base"]?["output"]?.string != nil })
            #expect(items.map { $0["base"] } != items.map { $0["tuned"] })
        }
    }

    @Test func `a second run answers nothing again`() throws {
        let place = try place()
        let arguments = [
            "--tasks", place.path + "/quiz.jsonl", "--output", place.path + "/e", "--json",
        ]
        let first = try evaluate(place, arguments)
        try #require(first.code == 0, "\(first.errors)")
        let log = place.path + "/e/outputs.base.jsonl"
        let outputs = try FileSystem.readText(log)
        // An answer that the model would not give shows that it is kept, and read again.
        let changed = outputs.split(separator: "\n").map { line in
            guard line.contains("\"id\": \"0\""), var object = try? JSON.parse(String(line)).object
            else { return String(line) }
            object["output"] = "Answer: A"
            return JSON.object(object).serialized()
        }
        try AtomicFile.write(changed.joined(separator: "\n") + "\n", to: log)
        let second = try evaluate(place, arguments)
        try #require(second.code == 0, "\(second.errors)")
        let items = try FileSystem.readText(place.path + "/e/items.jsonl").split(separator: "\n")
        #expect(try JSON.parse(String(items[0]))["base"]?["output"] == "Answer: A")
        #expect(try JSON.parse(second.output)["tasks"]?.array?[0]["tuned"] == JSON.null)

        let other = try evaluate(place, arguments + ["--limit", "3"])
        #expect(other.code == 1)
        #expect(other.errors.contains("outputs.base.jsonl: holds outputs of another model"))
        let again = try evaluate(place, arguments + ["--limit", "3", "--restart"])
        #expect(again.code == 0)
        #expect(try JSON.parse(again.output)["tasks"]?.array?[0]["count"] == 3)
    }

    @Test func `a name is looked for, bad questions are one line`() throws {
        let place = try place()
        let missing = try evaluate(place, ["--tasks", "no-such-quiz"])
        #expect(missing.code == 1)
        #expect(
            missing.errors.hasPrefix(
                "Error: no-such-quiz: is no file, and no task of this name is in"))
        try place.write(#"{"question": "Q", "answer_idx": "A"}"#, "bad.jsonl")
        let bad = try evaluate(place, ["--tasks", place.path + "/bad.jsonl"])
        #expect(bad.code == 1)
        #expect(
            bad.errors
                == "Error: \(place.path)/bad.jsonl: row 0: has no options; put them into a column 'options'\n"
        )
        let training = try osler([
            "train", place.configuration, "eval_tasks=[\(place.path)/bad.jsonl]",
        ])
        #expect(training.code == 1 && training.errors.contains("bad.jsonl: row 0: has no options"))
    }

    @Test(arguments: [
        ["--tasks", "x", "--compare-base"], ["--tasks", "x", "--samples", "0"],
        ["--tasks", "x", "--samples", "2", "--greedy"], ["--tasks", "x", "--batch-size", "0"],
        ["--tasks", "x", "--limit", "0"], ["--tasks", "x", "--method", "guess"], [],
    ])
    func `wrong usage is 64`(arguments: [String]) throws {
        let outcome = try osler(["evaluate", "--model", "m"] + arguments)
        #expect(outcome.code == 64)
    }
}
