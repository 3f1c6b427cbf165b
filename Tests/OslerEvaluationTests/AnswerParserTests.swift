import OslerEvaluation
import Testing

@Suite struct AnswerParserTests {
    static let diagnoses: [EvaluationItem.Option] = [
        .init("A", "Benign genetic carrier condition"), .init("B", "Folate deficiency"),
        .init("C", "Iron deficiency"), .init("D", "Parvovirus B19 infection"),
        .init("E", "Iron deficiency anemia"),
    ]

    private func parse(
        _ text: String, _ options: [EvaluationItem.Option] = diagnoses, isThinking: Bool = false
    ) -> String {
        switch AnswerParser(options).parse(text, isThinking: isThinking) {
        case .answer(let place, let rule): options[place].letter + " " + rule.rawValue
        case .contradictory(let rule): "? " + rule.rawValue
        case .nothing: "-"
        }
    }

    @Test(arguments: [
        ("The answer is (B)", "B"), ("The answer is B", "B"), ("The answer is B.", "B"),
        ("Answer: D. Parvovirus B19 infection", "D"), ("Answer: D", "D"), ("answer: d", "D"),
        ("**Answer:** C", "C"), ("**Answer: C**", "C"), ("Answer: **C**", "C"),
        ("Answer:\nB", "B"), ("## Answer\nB", "B"), ("Final answer: [E]", "E"),
        ("The correct answer is option B.", "B"), ("The correct option is: C", "C"),
        ("The best choice is D, because the reticulocytes are low.", "D"),
        ("The answer is most likely D.", "D"), ("the answer should be 'B'", "B"),
        ("I would choose B.", "B"), ("I'd select option (C).", "C"), ("B is correct.", "B"),
        ("(D) is the correct answer.", "D"), ("D is the best answer.", "D"),
        ("$\\boxed{B}$", "B"), ("\\boxed{\\text{C}}", "C"), ("The answer is \\boxed{D}.", "D"),
        ("The answer is B because iron is fine.", "B"), ("The answer is B: Folate deficiency", "B"),
        ("The answer is D Parvovirus B19 infection", "D"), ("Answer - C", "C"),
        ("The answer is parvovirus B19 infection.", "D"),
        ("The answer is **Folate Deficiency**.", "B"),
        ("The answer is iron deficiency anemia.", "E"), ("The answer is iron deficiency.", "C"),
        ("The correct answer to this question is therefore B.", "B"),
        ("The answer is \"B\".", "B"),
    ])
    func `statements name an option`(text: String, letter: String) {
        #expect(parse(text) == letter + " statement")
    }

    @Test(arguments: [
        ("The answer is A. Wait, no. The answer is C.", "C"),
        ("Answer: B\n\nOn reflection:\nAnswer: D", "D"),
        ("The answer is B. The answer is supported by the low count.", "B"),
    ])
    func `the last statement counts`(text: String, letter: String) {
        #expect(parse(text) == letter + " statement")
    }

    @Test(arguments: [
        "The answer is B or C.", "Answer: A and D", "Answer: A, B", "Answer: A/B",
        "The answer is (A) or (B)", "Answer: B. Parvovirus B19 infection",
        "The answer is B, iron deficiency.", "The answer is folate deficiency or iron deficiency.",
        "Answer: C\nNo: the answer is A or B.",
    ])
    func `a statement of two options is none`(text: String) {
        #expect(parse(text) == "? statement")
    }

    @Test(arguments: [
        ("C", "C"), ("**C**", "C"), ("(C)", "C"), ("C.", "C"), ("c", "C"),
        ("C) Iron deficiency", "C"),
        ("D. Parvovirus B19 infection", "D"), ("**D. Parvovirus B19 infection**", "D"),
        ("D: it stops the marrow.", "D"), ("Parvovirus B19 infection", "D"),
        ("Parvovirus B19 infection.", "D"), ("- B", "B"), ("The patient is ill.\n\n**B**", "B"),
        ("B\nB", "B"), ("The marrow fails.\nD. Parvovirus B19 infection\nIt is common.", "D"),
    ])
    func `lines name an option`(text: String, letter: String) {
        #expect(parse(text) == letter + " line")
    }

    @Test(arguments: [
        "A\nB", "A. Benign genetic carrier condition\nB. Folate deficiency\nC. Iron deficiency",
        "C. Folate deficiency", "(A), (B)",
    ])
    func `lines that differ name none`(text: String) {
        #expect(parse(text).hasPrefix("?"))
    }

    @Test(arguments: [
        ("It must be (D) here.", "D"), ("Looking at this, option B fits.", "B"),
        ("It's **C** I think.", "C"),
        ("Option A is incorrect. It must be (D).", "D"),
        ("(A) is not possible, (B) can be ruled out, and we keep (E).", "E"),
    ])
    func `marks name an option`(text: String, letter: String) {
        #expect(parse(text) == letter + " mark")
    }

    @Test(arguments: ["Either (A) or (B).", "Option B and option C both fit."])
    func `marks that differ name none`(text: String) {
        #expect(parse(text) == "? mark")
    }

    @Test(arguments: [
        ("This looks like parvovirus B19 infection to me", "D"),
        ("She has iron deficiency anemia, not more", "E"),
        ("she has IRON  DEFICIENCY here", "C"),
    ])
    func `texts name an option`(text: String, letter: String) {
        #expect(parse(text) == letter + " text")
    }

    @Test func `two texts name none`() {
        #expect(parse("Folate deficiency is less likely than iron deficiency") == "? text")
    }

    @Test(arguments: [
        "", " \n", "I don't know.", "The answer is unclear.", "A patient with anemia needs care.",
        "The answer is A patient with low iron.", "The answer is a viral infection.",
        "The answer is B cells.", "The answer is B-cell lymphoma.", "The answer is not B.",
        "The answer is F.", "It depends on a test", "Answer:", "Vitamin C helps",
    ])
    func `what names no option is not read`(text: String) {
        #expect(parse(text) == "-")
    }

    @Test func `only what follows the reasoning counts`() {
        #expect(parse("<think>The answer is A.</think>The answer is B.") == "B statement")
        #expect(parse("The answer is A.</think>\n\nB", isThinking: true) == "B line")
        #expect(parse("<think>The answer is A.") == "-")
        #expect(parse("The answer is A.", isThinking: true) == "-")
        #expect(parse("<think>A</think>") == "-")
        #expect(
            parse("## Thinking\nThe answer is A.\n## Final Response\n(C)") == "C line")
    }

    @Test func `an option's own text may begin like a letter`() {
        let options: [EvaluationItem.Option] = [
            .init("A", "C. difficile"), .init("B", "E. coli"), .init("C", "B cells"),
            .init("D", "A and C"), .init("E", "B"),
        ]
        #expect(parse("The answer is C. difficile", options) == "A statement")
        #expect(parse("Answer: E. coli", options) == "B statement")
        #expect(parse("The answer is B cells.", options) == "C statement")
        #expect(parse("The answer is A and C.", options) == "D statement")
        #expect(parse("Answer: D. A and C", options) == "D statement")
        #expect(parse("C. difficile is an anaerobe.") == "-")
    }

    @Test func `yes, no, maybe`() {
        let options: [EvaluationItem.Option] = [
            .init("A", "yes"), .init("B", "no"), .init("C", "maybe"),
        ]
        #expect(parse("Yes", options) == "A line")
        #expect(parse("Yes, because there is no effect.", options) == "A line")
        #expect(parse("The answer is no.", options) == "B statement")
        #expect(parse("Answer: C. maybe", options) == "C statement")
        #expect(parse("There is no effect, so yes I think", options) == "? text")
    }
}
