package import OslerFormats

/// A chat's text, and where in it the assistant's tokens are.
package struct RenderedChat: Sendable, Equatable {
    package var text: String
    /// UTF-8 byte offsets of the `{% generation %}` blocks in `text`, in order.
    package var generationSpans: [Range<Int>]
}

/// A Jinja2 chat template that renders as transformers' `apply_chat_template` does.
package struct ChatTemplate: Sendable {
    package let source: String
    package let name: String

    /// - Throws: `InputError` with the template's name, the line and the construct.
    package init(_ source: String, name: String = "chat template") throws {
        (self.source, self.name) = (source, name)
    }

    package func render(
        _ messages: [JSON], addGenerationPrompt: Bool = false, continueFinalMessage: Bool = false,
        variables: [String: JSON] = [:]
    ) throws -> RenderedChat {
        throw InputError("chat templates are not there yet", file: name)
    }
}
