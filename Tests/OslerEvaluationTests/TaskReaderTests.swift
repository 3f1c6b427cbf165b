import OslerEvaluation
import OslerFormats
import Testing

@Suite struct TaskReaderTests {
    /// Reads `text` as a file named `name`.
    private func read(
        _ text: String, _ name: String = "task.jsonl", form: TaskReader.Form? = nil
    ) throws -> EvaluationTask {
        let folder = "/tmp/osler-evaluation-\(UInt64.random(in: 0...UInt64.max))"
        try FileSystem.createDirectories(folder)
        defer { try? FileSystem.remove(folder) }
        let path = folder + "/" + name
        try AtomicFile.write(text, to: path)
        do {
            return try TaskReader.read(path, form: form)
        } catch var error as InputError {
            error.file = error.file.map { FileSystem.name(of: $0) }
            throw error
        }
    }

    private func fault(_ text: String, _ name: String = "task.jsonl") -> String {
        do {
            _ = try read(text, name)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    private func summary(_ item: EvaluationItem) -> String {
        guard case .choice(let options, let answer) = item.reference else {
            return "\(item.question) \(item.referenceText)"
        }
        return "\(item.question) \(options.map { $0.letter + "=" + $0.text }) \(answer)"
    }

    @Test(arguments: [
        #"{"question": "Q", "options": {"A": "x", "B": "y"}, "answer_idx": "B", "answer": "y"}"#,
        #"{"question": "Q", "options": {"a": "x", "b": "y"}, "answer_idx": "b"}"#,
        #"{"question": "Q", "options": ["x", "y"], "answer_idx": 1}"#,
        #"{"question": "Q", "choices": ["x", "y"], "answer": 1}"#,
        #"{"question": "Q", "choices": ["x", "y"], "answer": "y"}"#,
        #"{"question": "Q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "B"}"#,
        #"{"question": "Q", "options": [{"key": "A", "value": "x"}, {"key": "B", "value": "y"}], "answer_idx": "B"}"#,
        #"{"question": "Q", "options": "{'A': 'x', 'B': 'y'}", "answer_idx": "B"}"#,
        #"{"question": "Q", "options": "[\"x\", \"y\"]", "answer_idx": "B"}"#,
        #"{"question": "Q", "opa": "x", "opb": "y", "cop": 1}"#,
    ])
    func `forms of multiple choice`(row: String) throws {
        #expect(summary(try read(row).items[0]) == #"Q ["A=x", "B=y"] 1"#)
    }

    @Test func `a 4 in cop says that it counts from 1`() throws {
        func rows(_ cops: [Int]) -> String {
            cops.map {
                #"{"question": "Q", "opa": "x", "opb": "y", "opc": "z", "opd": "u", "cop": \#($0)}"#
            }.joined(separator: "\n")
        }
        func answers(_ cops: [Int]) throws -> [String] {
            try read(rows(cops)).items.map(\.referenceText)
        }
        #expect(try answers([0, 3, 1]) == ["A", "D", "B"])
        #expect(try answers([1, 4]) == ["A", "D"])
        #expect(
            fault(rows([0, -1]))
                == "task.jsonl: row 1: 'cop' is -1, out of range: 4 options, counted from 0")
        #expect(
            fault(rows([4, 0]))
                == "task.jsonl: row 1: 'cop' is 0, out of range: 4 options, counted from 1")
    }

    @Test func `PubMedQA, in rows and in its own file`() throws {
        let row =
            #"{"QUESTION": "Q", "CONTEXTS": ["c", "d"], "final_decision": "no"}"#
        for (text, name) in [(row, "t.jsonl"), (#"{"12": \#(row), "13": \#(row)}"#, "t.json")] {
            let item = try #require(try read(text, name).items.first)
            #expect(summary(item) == #"Q ["A=yes", "B=no", "C=maybe"] 1"#)
            #expect(item.context == "c\nd")
        }
        #expect(
            try read(#"{"12": \#(row), "13": \#(row)}"#, "t.json").items.map(\.id) == ["12", "13"])
        let nested =
            #"{"pubid": 7, "question": "Q", "context": {"contexts": ["c", "d"]}, "final_decision": "maybe"}"#
        let item = try read(nested).items[0]
        #expect(item.context == "c\nd" && item.referenceText == "C" && item.id == "7")
    }

    @Test func `eval_data names sources`() throws {
        let row = #"{"question": "Q", "options": {"A": "x", "B": "y"}, "answer_idx": "A"}"#
        let task = try read(#"{"MedQA": [\#(row)], "MMLU": [\#(row), \#(row)]}"#, "eval_data.json")
        #expect(task.name == "eval_data")
        #expect(task.items.map(\.source) == ["MedQA", "MMLU", "MMLU"])
        #expect(task.items.map(\.id) == ["MedQA:0", "MMLU:0", "MMLU:1"])
    }

    @Test func `CSV with quotes, commas and line ends`() throws {
        let text =
            "\u{FEFF}question,options,answer_idx\r\n"
            + "\"What, if \"\"any\"\"?\nSay.\",\"{'A': \"\"it's\"\", 'B': 'y\\u00e9\\n'}\",A\r\n\r\n"
            + "Q,\"['x', 'y']\",1"
        let items = try read(text, "t.csv").items
        #expect(items.map(\.question) == ["What, if \"any\"?\nSay.", "Q"])
        #expect(summary(items[1]) == #"Q ["A=x", "B=y"] 1"#)
        guard case .choice(let options, _) = items[0].reference else {
            Issue.record("no options")
            return
        }
        #expect(options.map(\.text) == ["it's", "yé\n"])
    }

    @Test func `open questions and demonstrations`() throws {
        let row =
            #"{"Question": "Q", "Complex_CoT": "R", "Response": "S", "question": "M", "options": {"A": "x", "B": "y"}, "answer_idx": "A", "Ground-True Answer": "T"}"#
        let choice = try read(row).items[0]
        #expect(choice.question == "M")
        #expect(choice.demonstration?.reasoning == "R" && choice.demonstration?.question == "Q")
        let open = try read(row, form: .open).items[0]
        #expect(summary(open) == "Q T")
        #expect(try summary(read(#"{"Question": "Q", "Response": "S"}"#).items[0]) == "Q S")
        let several = try read(#"{"question": "Q", "answers": {"text": ["a", "b"]}}"#).items[0]
        #expect(several.reference == .open(answers: ["a", "b"]))
    }

    @Test func `ids are a column's where all have one`() throws {
        func ids(_ rows: String) throws -> [String] { try read(rows).items.map(\.id) }
        let row = #"{"question": "Q", "answer": "x""#
        #expect(try ids(row + #", "id": "a"}"# + "\n" + row + #", "id": 2}"#) == ["a", "2"])
        #expect(try ids(row + #", "id": "a"}"# + "\n" + row + #", "id": "a"}"#) == ["0", "1"])
    }

    @Test(arguments: [
        ("", "is empty; give at least one question"),
        ("[]", "the data set has no rows; give a JSON array of objects or one JSON object a line"),
        (
            #"{"question": "Q", "answer_idx": "A"}"#,
            "row 0: has no options; put them into a column 'options'"
        ),
        (
            #"{"question": "Q", "options": {"A": "x", "B": "y"}, "answer_idx": "A"}"# + "\n"
                + #"{"question": "Q", "answer": "x"}"#,
            "row 1: has no options; put them into a column 'options'"
        ),
        (
            #"{"question": "Q", "options": {"A": "x", "B": "y"}, "answer_idx": "F"}"#,
            "row 0: 'answer_idx' is \"F\", none of the 2 options; give the letter, the place from 0 or the option's text"
        ),
        (
            #"{"question": "Q", "options": {"A": "x", "B": "y"}, "answer_idx": 2}"#,
            "row 0: 'answer_idx' is 2, out of range: 2 options, counted from 0"
        ),
        (
            #"{"question": "Q", "options": {"A": "x", "B": "y"}}"#,
            "row 0: has no answer; name the right option in 'answer_idx'"
        ),
        (
            #"{"question": "Q", "options": {"A": "x"}, "answer_idx": "A"}"#,
            "row 0: has 1 option, a choice needs two"
        ),
        (
            #"{"question": "Q", "options": {"A": "x", "B": " "}, "answer_idx": "A"}"#,
            "row 0: has an option without text"
        ),
        (
            #"{"question": "Q", "options": "x or y", "answer_idx": "A"}"#,
            "row 0: 'options' is neither a mapping nor a list of options"
        ),
        (
            #"{"options": {"A": "x", "B": "y"}, "answer_idx": "A"}"#,
            "row 0: has no question; put it into a column 'question'"
        ),
        (#"{"question": "Q"}"#, "row 0: has no answer; put it into a column 'answer'"),
        ("[1]", "row 0: expected an object with columns, found a number"),
    ])
    func `faults name file and row`(text: String, message: String) {
        #expect(fault(text) == "task.jsonl: " + message)
    }

    @Test func `faults of CSV and of lists`() {
        #expect(
            fault("a,b\n1\n", "t.csv")
                == "t.csv: row 0: 1 fields, the header has 2; put fields with commas in quotes")
        #expect(
            fault("a,b\n1,\"2\n3", "t.csv")
                == "t.csv: line 2: a quote that begins here does not end")
        #expect(
            fault(#"{"X": [{"question": "Q", "answer": "a"}, 3]}"#, "t.json")
                == "t.json: X row 1: is not an object with columns")
        #expect(
            fault("a,b\n", "t.csv") == "t.csv: has no rows; give questions with options or answers")
    }
}
