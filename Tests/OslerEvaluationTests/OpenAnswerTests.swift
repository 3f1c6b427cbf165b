import OslerEvaluation
import Testing

@Suite struct OpenAnswerTests {
    /// Values of SQuAD's evaluation script.
    @Test(arguments: [
        ("The Parvovirus B19 infection.", "parvovirus b19 infection", 1.0, true),
        ("an Iron-deficiency   anemia", "iron deficiency anemia", 0.4, false),
        ("It is parvovirus B19", "Parvovirus B19 infection", 0.5714285714285715, false),
        ("the a", "an", 1, true), ("", "x", 0, false), ("A–B the–end", "b", 0, false),
        ("rest rest rest", "rest", 0.5, false), ("É a é", "é", 0.6666666666666666, false),
    ])
    func `F1 and match are SQuAD's`(
        answer: String, reference: String, f1: Double, isMatch: Bool
    ) {
        let found = OpenAnswer(answer, references: [reference])
        #expect(abs(found.f1 - f1) < 1e-15 && found.isMatch == isMatch)
    }

    @Test func `tokens are SQuAD's`() {
        #expect(OpenAnswer.normalizedTokens("A–B the–end") == ["–b", "–end"])
        #expect(OpenAnswer.normalizedTokens("É a é") == ["é", "é"])
    }

    @Test func `exact is byte for byte, contained is by words, and the best reference counts`() {
        let found = OpenAnswer(" Rest it.\n", references: ["ice", "Rest it."])
        #expect(found.isExact && found.isMatch && found.f1 == 1)
        #expect(!OpenAnswer("rest it", references: ["Rest it."]).isExact)
        #expect(OpenAnswer("You should rest it now", references: ["Rest it."]).isContained)
        #expect(!OpenAnswer("You should resting it", references: ["Rest it."]).isContained)
    }

    @Test func `an answer is what stands behind the last cue`() {
        #expect(OpenAnswer.extract("<think>Answer: x</think>It is so.\n**Answer:** TB") == "TB")
        #expect(OpenAnswer.extract("It is TB.") == "It is TB.")
        #expect(OpenAnswer.extract("<think>never ends") == nil)
    }
}
