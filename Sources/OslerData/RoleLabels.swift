internal import OslerFormats
internal import OslerTokenizers

/// Turns records into labelled text by roles. Labels don't depend on the template's `generation`
/// markers, nor on what the template does to the assistant's text: the model's turn is the
/// inference prompt, then the text as the row has it, then the end of turn as the template writes
/// it.
///
/// In the loss: the assistant's text and the token that ends its turn (`<|im_end|>`,
/// `<｜end▁of▁sentence｜>`). Not in the loss: whatever the inference prompt already holds
/// (`<｜Assistant｜>`, and `<think>` where the prompt opens it) and whatever follows the end of the
/// turn (ChatML's line break).
struct RoleLabels: Sendable {
    let context: ChatContext
    let scope: LossScope

    func labelledText(_ record: Record) throws -> LabelledText {
        switch record {
        case .messages(let messages):
            let assistants = assistantTurns(messages)
            guard let last = assistants.last else {
                throw InputError(
                    "no assistant message, so nothing to learn from",
                    remedy: "leave the row out, or name the assistant's role 'assistant'")
            }
            // What follows the last assistant turn has no effect on the loss.
            let turns = scope == .assistant ? assistants : [last]
            return try conversation(Array(messages[...last]), targets: turns)
        case .promptCompletion(let prompt, let completion):
            let assistants = assistantTurns(completion)
            guard let last = assistants.last else {
                throw InputError(
                    "the completion has no assistant message",
                    remedy: "put the answer into the completion, with role 'assistant'")
            }
            return try conversation(
                prompt + completion[...last], targets: assistants.map { $0 + prompt.count })
        case .plainPromptCompletion(let prompt, let completion):
            var text = LabelledText()
            text.append(.context, prompt)
            append(completion, to: &text)
            return text
        case .text(let string):
            var text = LabelledText()
            append(string, to: &text)
            return text
        case .tokens:
            preconditionFailure("rows of token ids have no text")
        }
    }

    private func assistantTurns(_ messages: [JSON]) -> [Int] {
        messages.indices.filter { messages[$0]["role"]?.string == "assistant" }
    }

    /// A text that ends with EOS, once: also when it already does, or does so before white space.
    private func append(_ string: String, to text: inout LabelledText) {
        let end = string.reversed().prefix { $0.isWhitespace }.count
        let body = String(string.dropLast(end))
        if let eos = context.eosToken?.text, !eos.isEmpty, body.hasSuffix(eos) {
            text.append(.target, String(body.dropLast(eos.count)))
        } else {
            text.append(.target, string)
        }
        text.append(.ending, "")
    }

    private func conversation(_ messages: [JSON], targets: [Int]) throws -> LabelledText {
        let first = targets[0]
        let prompt = try context.render(Array(messages[..<first]), addGenerationPrompt: true).text
        if targets == [messages.count - 1] {
            return try finalTurn(messages, prompt: prompt)
        }
        return try severalTurns(messages, targets: targets, prompt: prompt)
    }
}

// MARK: One turn at the end

extension RoleLabels {
    private func finalTurn(_ messages: [JSON], prompt: String) throws -> LabelledText {
        let content = messages[messages.count - 1]["content"]?.string ?? ""
        let frame = try frame(messages, targets: [messages.count - 1], template: nil)
        let (header, ending) = (frame[0], frame[1])
        let rendered = try context.render(messages).text
        var text = LabelledText()
        text.templateChangesText = !rendered.isIdentical(to: header + content + ending)
        var target = content
        if let opening = prompt.remainder(after: header) {
            target = try content.continuing(opening)
        } else if let extra = header.remainder(after: prompt),
            !text.templateChangesText || extra.allSatisfy(\.isWhitespace)
        {
            // The template writes something between the prompt and the text; the model has to write
            // it too.
            target = extra + content
        }
        text.append(.context, prompt)
        text.append(.target, target)
        text.append(.ending, ending)
        return text
    }
}

// MARK: Several turns

extension RoleLabels {
    /// Uses the shipped template if it leaves the text of every turn as it is, else the family's
    /// training template.
    private func severalTurns(
        _ messages: [JSON], targets: [Int], prompt: String
    ) throws -> LabelledText {
        let contents = targets.map { messages[$0]["content"]?.string ?? "" }
        if let text = try verbatimTurns(messages, targets, contents, prompt, nil) { return text }
        let source = context.template?.source ?? ""
        guard let safe = TrainingTemplates.safeTemplate(for: source)?.template,
            var text = try verbatimTurns(messages, targets, contents, prompt, safe)
        else { throw templateFault() }
        text.templateChangesText = true
        return text
    }

    /// The turns as `template` writes them; nil if it changes the assistant's text.
    private func verbatimTurns(
        _ messages: [JSON], _ targets: [Int], _ contents: [String], _ prompt: String,
        _ template: ChatTemplate?
    ) throws -> LabelledText? {
        let frame = try frame(messages, targets: targets, template: template)
        let opening = prompt.remainder(after: frame[0]) ?? ""
        var text = LabelledText()
        var verbatim = frame[0]
        text.append(.context, frame[0] + opening)
        for (index, content) in contents.enumerated() {
            let isLast = index == contents.count - 1
            verbatim += content + frame[index + 1]
            text.append(.target, try content.continuing(opening))
            // Where the labels end in the text between two turns is known once it is tokenized.
            text.append(.ending, frame[index + 1] + (isLast ? "" : opening))
        }
        let rendered = try context.render(messages, with: template).text
        let joined = text.pieces.map(\.text).joined()
        return rendered.isIdentical(to: verbatim) || rendered.isIdentical(to: joined) ? text : nil
    }

    private func templateFault() -> InputError {
        InputError(
            "the chat template changes the assistant's text when it renders several turns",
            field: "chat_template",
            remedy: "use completion_only_loss, which trains on the last turn, or give a template "
                + "that leaves the text as it is")
    }

    /// What the template writes around the content of the messages `targets`: one text more than
    /// there are targets. Found by rendering marks in place of the content.
    private func frame(
        _ messages: [JSON], targets: [Int], template: ChatTemplate?
    ) throws -> [String] {
        let mark = "\u{F8FF}osler\u{F8FF}"
        var marked = messages
        for index in targets {
            guard var message = messages[index].object else { continue }
            message["content"] = .string(mark)
            marked[index] = .object(message)
        }
        let rendered = try context.render(marked, with: template).text
        let parts = rendered.utf8Split(mark)
        guard parts.count == targets.count + 1 else {
            throw InputError(
                "the chat template renders \(parts.count - 1) of \(targets.count) assistant "
                    + "messages", field: "chat_template",
                remedy: "check the roles of the messages, or give another template")
        }
        return parts
    }
}

// MARK: Text as bytes

extension String {
    /// The same bytes. `==` on strings takes canonically equivalent characters as equal.
    func isIdentical(to other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    /// What follows `prefix`; nil if the text doesn't begin with it.
    func remainder(after prefix: String) -> String? {
        guard utf8.starts(with: prefix.utf8) else { return nil }
        return String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }

    /// The parts between the places where `separator` stands.
    func utf8Split(_ separator: String) -> [String] {
        let (bytes, mark) = (Array(utf8), Array(separator.utf8))
        var parts: [String] = []
        var start = 0
        while let found = bytes.firstRange(of: mark, from: start) {
            parts.append(String(decoding: bytes[start..<found.lowerBound], as: UTF8.self))
            start = found.upperBound
        }
        parts.append(String(decoding: bytes[start...], as: UTF8.self))
        return parts
    }

    /// What is left to write of a text whose `opening` the inference prompt already holds.
    /// DeepSeek's prompt ends with `<think>` and a line break: the text's own `<think>` then stands
    /// for both.
    func continuing(_ opening: String) throws -> String {
        if let rest = remainder(after: opening) { return rest }
        let bare = opening.trimmed
        if let rest = remainder(after: bare) { return rest }
        throw InputError(
            "the inference prompt opens with '\(bare)', the assistant's text begins with "
                + "'\(prefix(20))'",
            remedy: "begin the text with \(bare), or give a chat template that doesn't open it")
    }
}

extension Array<UInt8> {
    func firstRange(of pattern: [UInt8], from start: Int) -> Range<Int>? {
        guard !pattern.isEmpty, count - start >= pattern.count else { return nil }
        var index = start
        while index <= count - pattern.count {
            if self[index] == pattern[0],
                self[index..<index + pattern.count].elementsEqual(pattern)
            {
                return index..<index + pattern.count
            }
            index += 1
        }
        return nil
    }
}
