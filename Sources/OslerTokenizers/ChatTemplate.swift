package import OslerFormats

/// A chat's text, and where in it the assistant's tokens are.
package struct RenderedChat: Sendable, Equatable {
    package var text: String
    /// UTF-8 byte offsets of the `{% generation %}` blocks in `text`, in order.
    package var generationSpans: [Range<Int>]
}

/// A Jinja2 chat template that renders as transformers' `apply_chat_template` does, byte for byte:
/// `trim_blocks`, `lstrip_blocks`, `break` and `continue`, the immutable sandbox, `tojson` without
/// HTML escapes, `raise_exception`, `strftime_now` and `{% generation %}`. What it doesn't know is
/// an error, never something else's output. Templates come from strangers: time, memory and stack
/// are bounded (`JinjaLimits`).
package struct ChatTemplate: Sendable {
    package let source: String
    /// What messages call it: the file that it comes from.
    package let name: String
    private let statements: [JinjaStatement]

    /// - Throws: `InputError` with the template's name, the line and the construct.
    package init(_ source: String, name: String = "chat template") throws {
        (self.source, self.name) = (source, name)
        do {
            statements = try JinjaParser.parse(source)
        } catch {
            throw Self.error(error, name)
        }
    }

    /// Whether it marks the assistant's text with `{% generation %}`.
    package var hasGenerationMarkers: Bool {
        statements.contains { $0.hasGeneration }
    }

    /// - Parameters:
    ///   - messages: objects with `role`, `content` and whatever else the template reads.
    ///   - addGenerationPrompt: end with the beginning of an assistant turn.
    ///   - continueFinalMessage: end right after the last message's content, without its
    /// end-of-turn marker.
    ///   - variables: `bos_token`, `eos_token`, `tools`, `enable_thinking`, ...; `tools` and
    /// `documents` are None unless given.
    /// - Throws: `InputError`, also with the template's own message when it refuses the chat.
    package func render(
        _ messages: [JSON], addGenerationPrompt: Bool = false, continueFinalMessage: Bool = false,
        variables: [String: JSON] = [:]
    ) throws -> RenderedChat {
        if addGenerationPrompt && continueFinalMessage {
            throw InputError(
                "a chat can't both continue its last message and begin a new one", file: name)
        }
        var chat = messages.map(Self.withReasoning)
        let continued = continueFinalMessage ? try markFinal(&chat) : nil
        let rendered = try render(chat, addGenerationPrompt, variables)
        guard let continued else { return rendered }
        return try cut(rendered, after: continued)
    }

    private func render(_ chat: [JSON], _ addGenerationPrompt: Bool, _ variables: [String: JSON])
        throws -> RenderedChat
    {
        do throws(JinjaFailure) {
            var values: [String: JinjaValue] = ["tools": .none, "documents": .none]
            for (name, value) in variables { values[name] = try JinjaValue(value) }
            values["messages"] = try JinjaValue(.array(chat))
            values["add_generation_prompt"] = .bool(addGenerationPrompt)
            return try JinjaInterpreter.render(statements, values)
        } catch {
            throw Self.error(error, name)
        }
    }

    private static func error(_ failure: JinjaFailure, _ name: String) -> InputError {
        InputError(failure.message, file: name, field: failure.line.map { "line \($0)" })
    }

    /// A message's reasoning under each name that templates read, as transformers gives it.
    private static func withReasoning(_ message: JSON) -> JSON {
        guard var object = message.object,
            let reasoning = ["reasoning_content", "thinking", "reasoning"].lazy
                .compactMap({ object[$0] }).first(where: { !$0.isNull })
        else { return message }
        if object["thinking"] == nil {
            object = JSON.Object(
                [("thinking", reasoning)] + object.pairs.map { ($0.key, $0.value) })
        }
        object["reasoning_content"] = reasoning
        return .object(object)
    }

    // MARK: Continuing the last message

    private static let mark = "CONTINUE_FINAL_MESSAGE_TAG "

    /// Marks the end of the last message's text, and returns that text.
    private func markFinal(_ chat: inout [JSON]) throws -> String {
        guard var last = chat.last?.object else {
            throw InputError("there is no message to continue", file: name)
        }
        switch last["content"] {
        case .string(let text):
            last["content"] = .string(text + Self.mark)
            chat[chat.count - 1] = .object(last)
            return text
        case .array(var blocks):
            guard let place = blocks.lastIndex(where: { $0["text"]?.string != nil }),
                var block = blocks[place].object, let text = block["text"]?.string
            else { break }
            block["text"] = .string(text + Self.mark)
            blocks[place] = .object(block)
            last["content"] = .array(blocks)
            chat[chat.count - 1] = .object(last)
            return text
        default: break
        }
        throw InputError("the last message has no text to continue", file: name)
    }

    /// Ends the chat where the mark is; blanks before it go if the template trims the message.
    private func cut(_ chat: RenderedChat, after message: String) throws -> RenderedChat {
        let bytes = Array(chat.text.utf8)
        let trimmedMark = PythonStrings.stripped(Self.mark, nil)
        guard PythonStrings.contains(chat.text, PythonStrings.stripped(message, nil)),
            let place = PythonStrings.lastOccurrence(bytes, Array(trimmedMark.utf8))
        else {
            throw InputError(
                "the last message can't be continued: the template leaves out a part of it",
                file: name)
        }
        var text = String(decoding: bytes[..<place], as: UTF8.self)
        if !bytes[place...].starts(with: Self.mark.utf8) {
            text = PythonStrings.stripped(text, nil, left: false)
        }
        let end = text.utf8.count
        let spans = chat.generationSpans.compactMap { span in
            span.lowerBound < end ? span.clamped(to: 0..<end) : nil
        }
        return RenderedChat(text: text, generationSpans: spans)
    }
}

extension JinjaStatement {
    fileprivate var hasGeneration: Bool {
        switch kind {
        case .generation: true
        case .conditional(let branches, let otherwise):
            branches.contains { $0.body.contains(where: \.hasGeneration) }
                || otherwise.contains(where: \.hasGeneration)
        case .loop(let loop): (loop.body + loop.otherwise).contains(where: \.hasGeneration)
        case .setBlock(_, _, let body), .filterBlock(_, let body), .with(_, let body):
            body.contains(where: \.hasGeneration)
        case .macro(let macro), .callBlock(let macro, _):
            macro.body.contains(where: \.hasGeneration)
        default: false
        }
    }
}
