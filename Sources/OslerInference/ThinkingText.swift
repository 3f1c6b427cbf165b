/// Marks what stands between `<think>` and `</think>` in streamed text, so that it can be shown dimmed. A tag may come in
/// pieces: its beginning is held back until it is known to be one.
package struct ThinkingText: Sendable {
    package struct Part: Sendable, Equatable {
        package var text: String
        package var isThinking: Bool
    }

    package private(set) var isThinking: Bool
    private var held = ""

    /// - Parameter prompt: what the model goes on from; it may have opened the tag.
    package init(after prompt: String) {
        self.init()
        _ = push(prompt)
        _ = finish()
    }

    package init() { isThinking = false }

    package mutating func push(_ text: String) -> [Part] {
        var rest = held + text
        held = ""
        var parts: [Part] = []
        while true {
            let tag = isThinking ? "</think>" : "<think>"
            guard let (before, after) = rest.cut(at: tag) else { break }
            // Both tags belong to what they enclose.
            if isThinking {
                parts.append(Part(text: before + tag, isThinking: true))
            } else {
                if !before.isEmpty { parts.append(Part(text: before, isThinking: false)) }
                parts.append(Part(text: tag, isThinking: true))
            }
            isThinking.toggle()
            rest = after
        }
        let tag = isThinking ? "</think>" : "<think>"
        held = rest.suffix(beginning: tag)
        rest.removeLast(held.count)
        if !rest.isEmpty { parts.append(Part(text: rest, isThinking: isThinking)) }
        return parts
    }

    /// What is still held back at the end.
    package mutating func finish() -> [Part] {
        defer { held = "" }
        return held.isEmpty ? [] : [Part(text: held, isThinking: isThinking)]
    }
}

extension String {
    /// The texts before and after the first `tag`.
    fileprivate func cut(at tag: String) -> (before: String, after: String)? {
        var start = startIndex
        while let open = self[start...].firstIndex(of: "<") {
            if self[open...].hasPrefix(tag) {
                return (String(self[..<open]), String(self[open...].dropFirst(tag.count)))
            }
            start = index(after: open)
        }
        return nil
    }

    /// The longest end of the text that is a beginning of `tag`, but not all of it.
    fileprivate func suffix(beginning tag: String) -> String {
        for count in stride(from: min(count, tag.count - 1), to: 0, by: -1)
        where hasSuffix(tag.prefix(count)) {
            return String(tag.prefix(count))
        }
        return ""
    }
}
