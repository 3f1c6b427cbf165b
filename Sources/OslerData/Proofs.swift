package import OslerFormats
internal import OslerTokenizers

/// What must hold for every row, shown on its tokens: nothing here knows how they were made.
struct Proofs: Sendable {
    let context: ChatContext
    let loss: LossScope

    /// What is wrong with a row; empty when the proofs hold.
    func failures(_ example: Example, of record: Record) throws -> [ProofFailure] {
        try [
            assistantTextSurvives(example, record),
            promptIsPrefix(example, record),
            beginsOnce(example, record),
            endsInLoss(example),
        ].compactMap { $0 }
    }
}

/// One broken proof.
package struct ProofFailure: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case assistantText = "assistant_text"
        case promptPrefix = "prompt_prefix"
        case beginning = "bos"
        case ending = "end_of_turn"
    }

    package var kind: Kind
    package var row: Int
    package var expected: String
    package var found: String
    package var remedy: String

    package func error(file: String) -> InputError {
        InputError(
            "\(kind.summary): expected \(expected), found \(found)", file: file,
            field: "row \(row)", remedy: remedy)
    }
}

extension ProofFailure.Kind {
    package var summary: String {
        switch self {
        case .assistantText: "the assistant's text does not survive the chat template"
        case .promptPrefix: "the inference prompt is no token prefix of the row"
        case .beginning: "the row does not begin with BOS once"
        case .ending: "the end of the assistant's turn is not in the loss"
        }
    }
}

// MARK: Assistant text

extension Proofs {
    private func assistantTextSurvives(_ example: Example, _ record: Record) -> ProofFailure? {
        let texts = learnedTexts(record)
        if texts.isEmpty { return nil }
        let labels = zip(example.ids, example.lossMask).filter(\.1).map(\.0)
        let whole = Array(context.tokenizer.decode(example.ids).utf8)
        let learned = Array(context.tokenizer.decode(labels).utf8)
        var (wholeStart, learnedStart) = (0, 0)
        for text in texts {
            let place =
                survive(text, whole, &wholeStart, learned, &learnedStart)
                ?? survive(normalized(text), whole, &wholeStart, learned, &learnedStart)
            if place == nil {
                return ProofFailure(
                    kind: .assistantText, row: example.row, expected: text.quoted(60),
                    found: String(decoding: learned, as: UTF8.self).quoted(60),
                    remedy: "give a chat template that writes the text as it is, or leave out "
                        + "compat: trl")
            }
        }
        return nil
    }

    /// Assistant texts that the loss must cover.
    private func learnedTexts(_ record: Record) -> [String] {
        switch record {
        case .messages(let messages):
            let texts = messages.filter { $0["role"]?.string == "assistant" }
                .map { $0["content"]?.string ?? "" }
            return loss == .assistant ? texts : texts.suffix(1)
        case .promptCompletion(_, let completion):
            return completion.filter { $0["role"]?.string == "assistant" }
                .map { $0["content"]?.string ?? "" }
        case .plainPromptCompletion(_, let completion): return [completion]
        case .text(let text): return [text]
        case .tokens: return []
        }
    }

    /// What the tokenizer makes of a text: some normalise Unicode (NFC).
    private func normalized(_ text: String) -> String {
        context.tokenizer.decode(context.tokenizer.encode(text))
    }

    /// Finds `text` in the row and among its labels, each from the given place on, and moves the
    /// places behind it. The inference prompt may hold its beginning (`<think>`) with white space
    /// of its own behind it.
    private func survive(
        _ text: String, _ whole: [UInt8], _ wholeStart: inout Int, _ learned: [UInt8],
        _ learnedStart: inout Int
    ) -> Bool? {
        let bytes = Array(text.utf8)
        if bytes.isEmpty { return true }
        if let place = whole.firstRange(of: bytes, from: wholeStart),
            let label = learned.firstRange(of: bytes, from: learnedStart)
        {
            (wholeStart, learnedStart) = (place.upperBound, label.upperBound)
            return true
        }
        for opened in ["<think>\n", "<think>"] {
            guard let rest = text.remainder(after: opened).map({ Array($0.utf8) }),
                let place = whole.firstRange(of: rest, from: wholeStart),
                let label = learned.firstRange(of: rest, from: learnedStart)
            else { continue }
            let before = String(decoding: whole[wholeStart..<place.lowerBound], as: UTF8.self)
            guard before.trimmed.hasSuffix("<think>") else { continue }
            (wholeStart, learnedStart) = (place.upperBound, label.upperBound)
            return true
        }
        return nil
    }
}

// MARK: Prompt, beginning, end

extension Proofs {
    private func promptIsPrefix(_ example: Example, _ record: Record) throws -> ProofFailure? {
        guard let prompt = try promptIDs(record), !example.ids.starts(with: prompt) else {
            return nil
        }
        let common = zip(prompt, example.ids).prefix { $0 == $1 }.count
        let decode = context.tokenizer.decode
        return ProofFailure(
            kind: .promptPrefix, row: example.row,
            expected: decode(Array(prompt[common...].prefix(12)), false).quoted(40)
                + " at token \(common)",
            found: decode(Array(example.ids[common...].prefix(12)), false).quoted(40),
            remedy: "give a chat template whose generation prompt and assistant turn begin alike")
    }

    /// What inference would feed the model before its first label.
    private func promptIDs(_ record: Record) throws -> [Int32]? {
        let messages: [JSON]
        switch record {
        case .text, .tokens: return nil
        case .plainPromptCompletion(let prompt, _): return context.encodeWithBOS(prompt)
        case .promptCompletion(let prompt, let completion):
            let first = completion.firstIndex { $0["role"]?.string == "assistant" } ?? 0
            messages = prompt + completion[..<first]
        case .messages(let all):
            let isAssistant: (JSON) -> Bool = { $0["role"]?.string == "assistant" }
            let turn =
                loss == .assistant
                ? all.firstIndex(where: isAssistant) : all.lastIndex(where: isAssistant)
            guard let turn else { return nil }
            messages = Array(all[..<turn])
        }
        let text = try context.render(messages, addGenerationPrompt: true).text
        return context.tokenizer.encode(text)
    }

    /// BOS may be what begins every turn (SmolLM2's `<|im_start|>`); then only the beginning of the
    /// row counts.
    private func beginsOnce(_ example: Example, _ record: Record) -> ProofFailure? {
        guard let bos = context.tokenizer.bosToken else { return nil }
        let leading = example.ids.prefix { $0 == bos.id }.count
        var found: Int?
        if case .tokens = record {
            if leading > 1 { found = leading }
        } else if leading > 1 || (leading == 0 && context.addsBOS) {
            found = leading
        } else if context.addsBOS {
            let all = example.ids.count { $0 == bos.id }
            if all > 1 { found = all }
        }
        return found.map {
            ProofFailure(
                kind: .beginning, row: example.row, expected: "\(bos.text) once",
                found: "\($0) times",
                remedy: $0 == 0
                    ? "give a chat template that writes BOS"
                    : "remove \(bos.text) from the data, or leave out compat: trl")
        }
    }

    /// The last token that is more than white space ends a turn, and is a label.
    private func endsInLoss(_ example: Example) -> ProofFailure? {
        let decode = context.tokenizer.decode
        guard
            let last = example.ids.indices.last(where: {
                !decode([example.ids[$0]], false).allSatisfy(\.isWhitespace)
            })
        else { return nil }
        if context.isStop(example.ids[last]), example.lossMask[last] { return nil }
        let isStop = context.isStop(example.ids[last])
        return ProofFailure(
            kind: .ending, row: example.row,
            expected: "\(context.eosToken?.text ?? "an end of turn") as the last label",
            found: decode([example.ids[last]], false).quoted(30)
                + (isStop ? ", not in the loss" : ""),
            remedy: "let the data or the template end the turn with EOS")
    }
}

extension String {
    /// In quotes, line breaks shown, at most `count` characters.
    func quoted(_ count: Int) -> String {
        let shown = prefix(count).map { $0.isNewline ? "\\n" : String($0) }.joined()
        return "'\(shown)\(self.count > count ? "..." : "")'"
    }
}
