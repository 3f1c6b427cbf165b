internal import OslerFormats

extension EvaluationItem {
    /// What the user says.
    var userText: String {
        var parts: [String] = []
        if let context { parts.append(context) }
        parts.append(question)
        switch reference {
        case .choice(let options, _):
            parts.append(options.map { "\($0.letter). \($0.text)" }.joined(separator: "\n"))
            parts.append(
                "Choose the one correct option. End with a line \"Answer: \" and its letter.")
        case .open:
            parts.append("End with a line \"Answer: \" and the answer in a few words.")
        }
        return parts.joined(separator: "\n\n")
    }

    func messages(systemPrompt: String?) -> [JSON] {
        let user: JSON = ["role": "user", "content": .string(userText)]
        guard let systemPrompt else { return [user] }
        return [["role": "system", "content": .string(systemPrompt)], user]
    }

    /// The context of log likelihoods, as the harness' tasks write it, and what continues it for each option. Empty for
    /// open questions.
    package func continuations(
        _ choices: EvaluationSettings.Choices
    ) -> (context: String, continuations: [String]) {
        guard case .choice(let options, _) = reference else { return ("", []) }
        let abstract = context.map { "Abstract: \($0)\n" } ?? ""
        switch choices {
        case .letters:
            let listed = options.map { "\($0.letter). \($0.text)\n" }.joined()
            return ("\(abstract)Question: \(question)\n\(listed)Answer:", options.map(\.letter))
        case .texts:
            return ("\(abstract)Question: \(question)\nAnswer:", options.map(\.text))
        }
    }
}
