import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

/// The reference's templates, chats and what transformers makes of them.
enum ChatFixtures {
    static let folder = Fixtures.path("chat-templates")

    static func json(_ name: String) throws -> JSON {
        let bytes = try FileSystem.read(folder + "/" + name)
        return try bytes.withUnsafeBytes {
            Gzip.isCompressed($0) ? try JSON.parse(Gzip.decompress($0)) : try JSON.parse(bytes)
        }
    }
    static let conversations = Result { try json("conversations.json") }
    static let rendered = Result { try json("rendered.json.gz") }
    static let spans = Result { try json("generation_spans.json.gz") }
    static let info = Result { try json("templates.json") }

    static func conversation(_ name: String) throws -> [JSON] {
        try #require(try conversations.get()[name]?.array)
    }

    /// The project's own copy, else the one beside the checkout.
    static func path(_ name: String) -> String? {
        let own = folder + "/templates/" + name + ".jinja"
        if FileSystem.exists(own) { return own }
        return Fixtures.shared("chat-templates/templates/\(name).jinja")
    }
    static func source(_ name: String) throws -> String {
        try FileSystem.readText(try #require(path(name)))
    }
    static func template(_ name: String) throws -> ChatTemplate {
        try ChatTemplate(source(name), name: name + ".jinja")
    }
    /// bos_token and eos_token, as the template's tokenizer gives them.
    static func tokens(_ name: String) throws -> [String: JSON] {
        let entry = try info.get()[name]
        var variables: [String: JSON] = [:]
        for key in ["bos_token", "eos_token"] {
            if let text = entry?[key]?.string { variables[key] = .string(text) }
        }
        return variables
    }
    /// All names in `templates.json` whose template is at hand.
    static let available: [String] =
        ((try? info.get())?.object?.keys ?? []).filter { path($0) != nil }
}

@Suite struct ChatTemplateGoldenTests {
    @Test(arguments: ChatFixtures.available)
    func `renders as transformers does`(_ name: String) throws {
        let template = try ChatFixtures.template(name)
        let tokens = try ChatFixtures.tokens(name)
        var count = 0
        for golden in try #require(try ChatFixtures.rendered.get().array)
        where golden["template"]?.string == name {
            count += 1
            let conversation = try #require(golden["conversation"]?.string)
            var variables = tokens
            for (key, value) in golden["kwargs"]?.object?.pairs ?? [] { variables[key] = value }
            let result = Result {
                try template.render(
                    ChatFixtures.conversation(conversation),
                    addGenerationPrompt: golden["add_generation_prompt"]?.bool ?? false,
                    continueFinalMessage: golden["continue_final_message"]?.bool ?? false,
                    variables: variables)
            }
            let context: Comment = "\(conversation) \(golden["kwargs"] ?? .null)"
            if let text = golden["text"]?.string {
                #expect(try Array(result.get().text.utf8) == Array(text.utf8), context)
            } else {
                let error = #expect(throws: InputError.self, context) { try result.get() }
                let parts = try #require(golden["error"]?.string).split(
                    separator: ": ", maxSplits: 1)
                if parts[0] == "TemplateError" {
                    #expect(error?.description.contains(parts[1]) == true, context)
                }
            }
        }
        #expect(count >= 16)
    }

    @Test(
        arguments: [
            "deepseek-r1-distill-training", "llama3_training", "qwen2_5_training", "qwen3_training",
            "gemma_training",
            "phi3_training",
        ].filter { ChatFixtures.path($0) != nil })
    func `generation blocks are where transformers finds them`(_ name: String) throws {
        let template = try ChatFixtures.template(name)
        #expect(template.hasGenerationMarkers)
        for golden in try #require(try ChatFixtures.spans.get().array)
        where golden["template"]?.string == name {
            try expectSpans(golden, template, name)
        }
    }
}

/// Compares text and spans of one entry of `generation_spans.json`.
func expectSpans(_ golden: JSON, _ template: ChatTemplate, _ tokensOf: String) throws {
    let conversation = try #require(golden["conversation"]?.string)
    let messages = try ChatFixtures.conversation(conversation)
    let tokens = try ChatFixtures.tokens(tokensOf)
    guard let text = golden["text"]?.string else {
        #expect(throws: InputError.self, "\(conversation)") {
            try template.render(messages, variables: tokens)
        }
        return
    }
    let rendered = try template.render(messages, variables: tokens)
    #expect(rendered.text == text, "\(conversation)")
    let scalars = Array(text.unicodeScalars)
    let spans = try #require(golden["assistant_char_spans"]?.array).map { span in
        let start = span.array?[0].integer ?? 0
        let end = span.array?[1].integer ?? 0
        func bytes(_ count: Int) -> Int {
            scalars[..<count].reduce(0) { $0 + UTF8.width($1) }
        }
        return bytes(start)..<bytes(end)
    }
    #expect(rendered.generationSpans == spans, "\(conversation)")
}
