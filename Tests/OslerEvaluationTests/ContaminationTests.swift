import OslerEvaluation
import OslerFormats
import Testing

@Suite struct ContaminationTests {
    private static let words = (0..<40).map { "w\($0)" }

    private func findings(_ questions: [String], _ training: [String]) -> [Contamination.Finding] {
        let items = questions.enumerated().map { index, question in
            EvaluationItem(
                task: "t", id: "\(index)", question: question, reference: .open(answers: ["x"]))
        }
        return Contamination(items, training: training).findings
    }

    @Test func `the same text but for case and punctuation`() {
        let found = findings(["What is it?", "What is that?"], ["  what IS -- it"])
        #expect(found.map(\.isWholeText) == [true, false])
        #expect(found.map(\.isSetApart) == [true, false])
    }

    @Test func `runs of 13 words`() {
        let question = Self.words.joined(separator: " ")
        func share(_ range: Range<Int>) -> Contamination.Finding {
            findings(
                [question], ["before, " + Self.words[range].joined(separator: "; ") + " after"])[0]
        }
        // 40 words have 28 runs of 13.
        #expect(share(0..<40).share == 1 && !share(0..<40).isWholeText)
        #expect(share(3..<15).share == 0)
        #expect(share(3..<16).share == 1.0 / 28 && !share(3..<16).isSetApart)
        #expect(share(3..<20).share == 5.0 / 28 && !share(3..<20).isSetApart)
        #expect(share(3..<21).share == 6.0 / 28 && share(3..<21).isSetApart)
    }

    @Test func `short questions are one run, the shortest are compared whole`() {
        let found = findings(
            ["one two three four five", "one two three four"],
            ["he said one two three four five six"])
        #expect(found.map(\.share) == [1, 0])
    }

    @Test func `texts of rows are found at any depth`() {
        let rows: [JSON.Object] = [["a": "x", "b": ["y", ["c": "z", "n": 1]]]]
        #expect(Array(Contamination.texts(of: rows)) == ["x", "y", "z"])
    }
}
