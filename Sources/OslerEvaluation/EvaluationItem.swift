/// One question with what counts as its answer.
package struct EvaluationItem: Sendable, Equatable {
    package struct Option: Sendable, Equatable {
        /// One capital letter.
        package var letter: String
        package var text: String

        package init(_ letter: String, _ text: String) { (self.letter, self.text) = (letter, text) }
    }

    package enum Reference: Sendable, Equatable {
        case choice(options: [Option], answer: Int)
        /// Any of `answers` is right.
        case open(answers: [String])
    }

    /// A question answered with its reasoning, as in training data.
    package struct Demonstration: Sendable, Equatable {
        package var question: String
        package var reasoning: String
        package var response: String

        package init(question: String, reasoning: String, response: String) {
            (self.question, self.reasoning, self.response) = (question, reasoning, response)
        }
    }

    package var task: String
    /// No other item of the task has it.
    package var id: String
    /// The data set that the item came from, where the file says so.
    package var source: String?
    package var question: String
    /// What the question is about (PubMedQA's abstract).
    package var context: String?
    package var reference: Reference
    package var demonstration: Demonstration?

    package init(
        task: String, id: String, source: String? = nil, question: String, context: String? = nil,
        reference: Reference, demonstration: Demonstration? = nil
    ) {
        (self.task, self.id, self.source, self.question) = (task, id, source, question)
        (self.context, self.reference, self.demonstration) = (context, reference, demonstration)
    }

    /// The right answer, for a reader.
    package var referenceText: String {
        switch reference {
        case .choice(let options, let answer): options[answer].letter
        case .open(let answers): answers[0]
        }
    }
}

/// The items of one file.
package struct EvaluationTask: Sendable, Equatable {
    package var name: String
    package var file: String
    package var items: [EvaluationItem]

    package init(name: String, file: String, items: [EvaluationItem]) {
        (self.name, self.file, self.items) = (name, file, items)
    }
}
