package import OslerFormats

extension ChatTemplate {
    /// Where the assistant's text and its end-of-turn marker are in `render(messages,
    /// variables:).text`, as UTF-8 byte offsets.
    ///
    /// A template with `{% generation %}` says so itself. For any other, a turn's span begins where
    /// the prompt for it ends (the messages before it, with the generation prompt) and ends after
    /// the marker; the blanks after the marker, which no model generates, are left out.
    /// - Throws: `InputError` when the prompt is no prefix of the chat or the turn's content
    /// doesn't follow it, blanks at
    ///   its ends aside: then the template changes the chat, and no span is certain.
    package func assistantSpans(_ messages: [JSON], variables: [String: JSON] = [:]) throws
        -> [Range<Int>]
    {
        let full = try render(messages, variables: variables)
        if hasGenerationMarkers { return full.generationSpans }
        let bytes = Array(full.text.utf8)
        var spans: [Range<Int>] = []
        for (i, message) in messages.enumerated() where message["role"]?.string == "assistant" {
            let prompt = try render(
                Array(messages[..<i]), addGenerationPrompt: true, variables: variables)
            let turn = try render(Array(messages[...i]), variables: variables)
            spans.append(
                try span(
                    of: message, number: i, in: bytes, prompt: Array(prompt.text.utf8),
                    turn: Array(turn.text.utf8)))
        }
        return spans
    }

    private func span(
        of message: JSON, number: Int, in bytes: [UInt8], prompt: [UInt8], turn: [UInt8]
    ) throws -> Range<Int> {
        func unproven(_ problem: String) -> InputError {
            InputError(
                "message \(number): \(problem), so the assistant's tokens can't be told from the rest",
                file: name, remedy: "use a template with {% generation %} markers")
        }
        guard let content = message["content"]?.string else { throw unproven("it has no text") }
        guard bytes.starts(with: prompt), turn.starts(with: prompt) else {
            throw unproven("the prompt for it is no prefix of the chat")
        }
        let exact = Array(content.utf8)
        let trimmed = Array(PythonStrings.stripped(content, nil).utf8)
        var start = prompt.count
        if !turn[start...].starts(with: exact) {
            while start < turn.count, [0x20, 0x0A].contains(turn[start]) { start += 1 }
        }
        guard let shown = [exact, trimmed].first(where: { turn[start...].starts(with: $0) }),
            bytes[..<min(bytes.count, start + shown.count)].elementsEqual(
                turn[..<(start + shown.count)])
        else { throw unproven("its content is not what follows the prompt") }
        let contentEnd = start + shown.count
        let end = markerEnd(bytes, turn, from: contentEnd)
        if end == contentEnd { throw unproven("no end-of-turn marker follows it") }
        return prompt.count..<end
    }

    /// The end of what follows the content in the chat and in the chat cut after this turn, without
    /// blanks. Where the two part inside a marker, as at `<|user|>` and `<|endoftext|>`, that
    /// marker doesn't belong to the turn.
    private func markerEnd(_ bytes: [UInt8], _ turn: [UInt8], from start: Int) -> Int {
        var end = start
        while end < bytes.count, end < turn.count, bytes[end] == turn[end] { end += 1 }
        if end < turn.count {
            let closers: [UInt8] = [UInt8(ascii: ">"), UInt8(ascii: "]"), UInt8(ascii: "\n")]
            while end > start, !closers.contains(bytes[end - 1]) { end -= 1 }
        }
        while end > start, [0x20, 0x0A].contains(bytes[end - 1]) { end -= 1 }
        return end
    }
}
