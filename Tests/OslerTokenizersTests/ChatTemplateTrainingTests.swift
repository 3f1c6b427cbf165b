import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

private func message(_ role: String, _ content: String) -> JSON {
    .object(JSON.Object([("role", .string(role)), ("content", .string(content))]))
}

private func text(_ rendered: RenderedChat, _ span: Range<Int>) -> String {
    String(decoding: Array(rendered.text.utf8)[span], as: UTF8.self)
}

@Suite struct ChatTemplateTrainingTests {
    static let think = "<think>CoT</think>Response"

    @Test(
        arguments: [
            ("deepseek-r1-distill", "<think>\nCoT</think>Response<｜end▁of▁sentence｜>"),
            ("deepseek-r1-distill-gguf", "<think>CoT</think>Response<｜end▁of▁sentence｜>"),
            ("deepseekv3", "<think>\nCoT</think>Response<｜end▁of▁sentence｜>"),
            ("qwen3", "<think>CoT</think>Response<|im_end|>"),
        ])
    func `a safe template keeps the reasoning, and the prompt begins the row`(
        _ name: String, _ expected: String
    ) throws {
        let source = try ChatFixtures.source(name)
        let tokens = try ChatFixtures.tokens(name)
        let shipped = try ChatTemplate(source)
        let (template, note) = try #require(TrainingTemplates.safeTemplate(for: source))
        #expect(note.contains("reasoning"))
        let chat = [
            message("system", "S"), message("user", "q"), message("assistant", Self.think),
            message("user", "r"), message("assistant", Self.think),
        ]
        let row = try template.render(chat, variables: tokens)
        #expect(row.generationSpans.map { text(row, $0) } == [expected, expected])
        #expect(TrainingTemplates.keeps(Self.think, in: row.text))
        #expect(
            !TrainingTemplates.keeps(
                Self.think, in: try shipped.render(chat, variables: tokens).text))
        let prompt = Array(chat[..<2])
        let first = try template.render(Array(chat[..<3]), variables: tokens).text
        let inference = try shipped.render(prompt, addGenerationPrompt: true, variables: tokens)
            .text
        #expect(first.hasPrefix(inference))
        #expect(
            try template.render(prompt, addGenerationPrompt: true, variables: tokens).text
                == inference)
    }

    @Test(arguments: ["\nalready", "\n\ntwice", " blank"])
    func `content is changed by at most one newline`(_ start: String) throws {
        let source = try ChatFixtures.source("deepseek-r1-distill")
        let template = try #require(TrainingTemplates.safeTemplate(for: source)).template
        let content = "<think>" + start + "</think>\n\n answer \n"
        let row = try template.render([message("user", "q"), message("assistant", content)])
        let kept = start.hasPrefix("\n") ? content : "<think>\n" + start + "</think>\n\n answer \n"
        #expect(row.text == "<｜User｜>q<｜Assistant｜>" + kept + "<｜end▁of▁sentence｜>")
        #expect(TrainingTemplates.keeps(content, in: row.text))
    }

    @Test func `reasoning in a field of its own is kept`() throws {
        for name in ["deepseek-r1-distill", "deepseek-r1-distill-gguf", "qwen3"] {
            let template = try #require(
                TrainingTemplates.safeTemplate(for: try ChatFixtures.source(name))
            ).template
            var answer = try #require(message("assistant", "so").object)
            answer["reasoning_content"] = .string("why")
            let row = try template.render([message("user", "q"), .object(answer)])
            #expect(row.text.contains("<think>\nwhy\n</think>\n\nso"))
        }
    }

    @Test func `a safe template refuses what it would lose`() throws {
        let template = try #require(
            TrainingTemplates.safeTemplate(for: try ChatFixtures.source("deepseek-r1-distill"))
        ).template
        for bad in [message("tool", "x"), message("gpt", "x")] {
            #expect(throws: InputError.self) { try template.render([message("user", "q"), bad]) }
        }
    }

    @Test(arguments: [
        "smollm2", "chatml", "zephyr", "qwen2_5", "phi3", "mistral-v0.1", "qwen3_instruct_2507",
    ])
    func `other families need none`(_ name: String) throws {
        #expect(try TrainingTemplates.safeTemplate(for: ChatFixtures.source(name)) == nil)
    }

    // MARK: TRL

    static let families = [
        ("deepseek-r1-distill", "deepseek-r1-distill-training"), ("llama3", "llama3_training"),
        ("qwen2_5", "qwen2_5_training"), ("qwen3", "qwen3_training"), ("gemma", "gemma_training"),
        ("phi3", "phi3_training"),
    ].filter { ChatFixtures.path($0.0) != nil }

    @Test(arguments: families)
    func `text and loss are TRL's`(_ shipped: String, _ training: String) throws {
        let template = try #require(
            TrainingTemplates.trlTemplate(for: try ChatFixtures.source(shipped)))
        var count = 0
        for golden in try #require(try ChatFixtures.spans.get().array)
        where golden["template"]?.string == training {
            try expectSpans(golden, template, shipped)
            count += 1
        }
        #expect(count == 16)
    }

    @Test(arguments: families)
    func `prompts are TRL's`(_ shipped: String, _ training: String) throws {
        let template = try #require(
            TrainingTemplates.trlTemplate(for: try ChatFixtures.source(shipped)))
        for golden in try #require(try ChatFixtures.rendered.get().array)
        where golden["template"]?.string == training && golden["continue_final_message"] == nil {
            var variables = try ChatFixtures.tokens(shipped)
            for (key, value) in golden["kwargs"]?.object?.pairs ?? [] { variables[key] = value }
            let chat = try ChatFixtures.conversation(try #require(golden["conversation"]?.string))
            let text = try? template.render(
                chat, addGenerationPrompt: golden["add_generation_prompt"]?.bool ?? false,
                variables: variables
            ).text
            #expect(text == golden["text"]?.string)
        }
    }

    @Test(arguments: [
        "smollm2", "chatml", "zephyr", "phi3_5", "deepseekv3", "qwen3_instruct_2507",
        "mistral-v0.1",
    ])
    func `TRL has none for the others`(_ name: String) throws {
        #expect(try TrainingTemplates.trlTemplate(for: ChatFixtures.source(name)) == nil)
    }

    // MARK: Spans without markers

    @Test(
        arguments: [
            ("smollm2", "one<|im_end|>", "two<|im_end|>"),
            ("chatml", "one<|im_end|>", "two<|im_end|>"),
            ("qwen2_5", "one<|im_end|>", "two<|im_end|>"), ("zephyr", "one</s>", "two</s>"),
            ("mistral-v0.1", "one</s>", "two</s>"),
            ("phi3", "one<|end|>", "two<|end|>\n<|endoftext|>"),
            ("phi3_5", "one<|end|>", "two<|end|>\n<|endoftext|>"),
            ("llama2", " one </s>", " two </s>"),
            ("llama3", "one<|eot_id|>", "two<|eot_id|>"),
            ("llama3_1", "one<|eot_id|>", "two<|eot_id|>"),
            ("gemma", "one<end_of_turn>", "two<end_of_turn>"),
            ("gemma3", "one<end_of_turn>", "two<end_of_turn>"),
            ("chatml-generation", "one<|im_end|>", "two<|im_end|>"),
        ].filter { ChatFixtures.path($0.0) != nil })
    func `assistant spans are found`(_ name: String, _ first: String, _ second: String) throws {
        let template = try ChatFixtures.template(name)
        let tokens = try ChatFixtures.tokens(name)
        let chat = [
            message("user", "one"), message("assistant", "one"), message("user", "two"),
            message("assistant", "two"),
        ]
        let rendered = try template.render(chat, variables: tokens)
        let spans = try template.assistantSpans(chat, variables: tokens)
        #expect(spans.map { text(rendered, $0) } == [first, second])
    }

    @Test(arguments: ["deepseek-r1-distill", "deepseek-r1-distill-gguf", "qwen3"])
    func `spans that can't be proven are an error`(_ name: String) throws {
        let template = try ChatFixtures.template(name)
        let chat = [message("user", "q"), message("assistant", Self.think)]
        #expect(throws: InputError.self) {
            try template.assistantSpans(chat, variables: ChatFixtures.tokens(name))
        }
    }
}
