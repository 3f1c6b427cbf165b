import OslerData
import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

@Suite struct `Labels from roles` {
    /// DeepSeek's way: the template cuts the reasoning off, the generation prompt opens `<think>`.
    static let cutting = """
        {{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|im_start|>user' \
        + m['content'] }}{% else %}{{ '<|im_start|>assistant' + m['content'].split('</think>')[-1] \
        + '<|im_end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}\
        {{ '<|im_start|>assistant<think>\\n' }}{% endif %}
        """

    @Test func `the assistant's text and its end of turn are labels, the line break is not`() throws
    {
        // TRL's assistant_only_loss with this template's generation markers marks the same tokens.
        let runs = try Golden.json("train-prepared.json").array ?? []
        let expected = try #require(runs.first { $0["run"] == .string("nll-assistant-only") })
        let records = try Golden.json("train-raw.json").array ?? []
        let prepared = try prepare(records.prefix(16).compactMap(\.object))
        #expect(prepared.examples.count == 16)
        for (example, row) in zip(prepared.examples, expected["prepared"]?.array ?? []) {
            #expect(example.ids.map(Int.init) == row["input_ids"]?.integers)
            #expect(example.lossMask == row["loss_spans"]?.mask(example.ids.count))
        }
    }

    @Test func `only the last turn, every turn, or every token`() throws {
        let messages = chat(
            ("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four"))
        let rows = [row(("messages", messages))]
        #expect(try learned(rows) == ["four<|im_end|>"])
        #expect(
            try learned(rows) { $0.assistantOnlyLoss = true } == [
                "two<|im_end|>", "four<|im_end|>",
            ])
        let all = try prepare(rows) { $0.completionOnlyLoss = false }
        #expect(all.examples[0].lossMask.allSatisfy { $0 })
        // What follows the last answer is left out.
        let open = chat(("user", "one"), ("assistant", "two"), ("user", "three"))
        #expect(try learned([row(("messages", open))]) == ["two<|im_end|>"])
    }

    @Test func `a completion column is learned, an assistant turn in the prompt is not`() throws {
        let rows = [
            row(
                ("prompt", chat(("user", "one"), ("assistant", "two"), ("user", "three"))),
                ("completion", chat(("assistant", "four"))))
        ]
        #expect(try learned(rows) == ["four<|im_end|>"])
        let plain = [row(("prompt", .string("Q: ")), ("completion", .string("A")))]
        #expect(try learned(plain) == ["A<|im_end|>"])
    }

    @Test(arguments: ["some text", "some text<|im_end|>", "some text<|im_end|>\n"])
    func `text ends with EOS once`(text: String) throws {
        let prepared = try prepare([row(("text", .string(text)))])
        let context = try Golden.tinyContext()
        #expect(context.tokenizer.decode(prepared.examples[0].ids) == "some text<|im_end|>")
        #expect(prepared.examples[0].lossMask.allSatisfy { $0 })
    }

    @Test func `a template that cuts the reasoning does not cut the labels`() throws {
        let rows = [
            row(
                ("messages", chat(("user", "Q"), ("assistant", "<think>why</think>so"))))
        ]
        let prepared = try prepare(rows, template: Self.cutting)
        let context = try Golden.tinyContext(template: Self.cutting)
        let example = prepared.examples[0]
        #expect(
            context.tokenizer.decode(example.ids)
                == "<|im_start|><|im_start|>userQ<|im_start|>assistant<think>\nwhy</think>so<|im_end|>"
        )
        // The prompt opens <think>, so the model need not write it.
        #expect(try learned(rows, template: Self.cutting) == ["why</think>so<|im_end|>"])
        #expect(prepared.templateChangedRows == [0])
    }

    @Test func `a prompt that opens think needs text that thinks`() throws {
        let rows = [row(("messages", chat(("user", "Q"), ("assistant", "so"))))]
        let line = errorLine { _ = try prepare(rows, template: Self.cutting) }
        #expect(
            line == "rows.json: row 0: the inference prompt opens with '<think>', the assistant's "
                + "text begins with 'so'; begin the text with <think>, or give a chat template that "
                + "doesn't open it")
    }

    @Test func `several turns need a template that leaves them alone`() throws {
        let messages = chat(
            ("user", "a"), ("assistant", "<think>b</think>c"), ("user", "d"),
            ("assistant", "<think>e</think>f"))
        let line = errorLine {
            _ = try prepare([row(("messages", messages))], template: Self.cutting) {
                $0.assistantOnlyLoss = true
            }
        }
        #expect(line?.contains("the chat template changes the assistant's text") == true)
    }

    @Test func `rows without an answer, and labels that rows don't have, are refused`() throws {
        let question = [row(("messages", chat(("user", "Q"))))]
        #expect(
            errorLine { _ = try prepare(question) } == "rows.json: row 0: no assistant message, so "
                + "nothing to learn from; leave the row out, or name the assistant's role "
                + "'assistant'")
        let text = [row(("text", .string("a")))]
        #expect(throws: InputError.self) { try prepare(text) { $0.completionOnlyLoss = true } }
        #expect(throws: InputError.self) { try prepare(text) { $0.assistantOnlyLoss = true } }
        #expect(throws: InputError.self) { try prepare(text) { $0.systemPrompt = "S" } }
        #expect(throws: InputError.self) {
            try prepare(text) {
                $0.packing = true; $0.maxLength = nil
            }
        }
    }

    @Test(
        .enabled(if: Fixtures.sharedIsThere, "needs the shared reference values"),
        arguments: ["deepseek-r1-distill-qwen", "deepseek-r1-distill-llama"],
        ["deepseek-r1-distill", "deepseek-r1-distill-gguf"])
    func `DeepSeek's reasoning is learned from its inference prompt on`(
        tokenizer: String, template: String
    ) throws {
        let context = try SharedTokenizers.context(tokenizer, template: template)
        let records =
            try Golden.read(
                try #require(Fixtures.shared("train/data-prep-raw.json"))
            ).array ?? []
        let preparation = DataPreparation(context, DataConfiguration())
        let prepared = try preparation.prepare(
            Dataset(file: "rows.json", rows: records.compactMap(\.object)))
        let report = try Preflight.run([prepared], preparation)
        #expect(report.failures == [])
        #expect(prepared.templateChangedRows.count == records.count)
        for (example, record) in zip(prepared.examples, records) {
            let labels = zip(example.ids, example.lossMask).filter(\.1).map(\.0)
            let opening = template.hasSuffix("gguf") ? "<think>" : ""
            #expect(
                context.tokenizer.decode(labels)
                    == opening + (record["Complex_CoT"]?.string ?? "") + "</think>"
                    + (record["Response"]?.string ?? "") + "<｜end▁of▁sentence｜>")
        }
    }
}

/// Prepares rows with the tiny tokenizer.
func prepare(
    _ rows: [JSON.Object], template: String? = nil,
    _ change: (inout DataConfiguration) -> Void = { _ in }
) throws -> PreparedDataset {
    var configuration = DataConfiguration()
    change(&configuration)
    return try DataPreparation(try Golden.tinyContext(template: template), configuration)
        .prepare(Dataset(file: "rows.json", rows: rows))
}

/// The runs of labels of the first row, as text.
private func learned(
    _ rows: [JSON.Object], template: String? = nil,
    _ change: (inout DataConfiguration) -> Void = { _ in }
) throws -> [String] {
    let context = try Golden.tinyContext(template: template)
    let example = try prepare(rows, template: template, change).examples[0]
    return LossMaskSample(example, context).runs.filter(\.isInLoss).map(\.text)
}
