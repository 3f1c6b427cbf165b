import OslerData
import OslerFormats
import Testing

@Suite struct `Rows` {
    @Test(arguments: [
        (["Question", "Complex_CoT", "Response"], RowSchema.reasoning),
        (["text", "messages"], .messages), (["conversations"], .conversations),
        (["prompt", "completion", "text"], .promptCompletion), (["text", "id"], .text),
        (["input_ids", "text"], .tokens),
    ]) func `columns tell the form`(columns: [String], schema: RowSchema) throws {
        #expect(try RowSchema.detect(columns) == schema)
    }

    @Test func `the reasoning stands in think tags`() throws {
        let source = row(
            ("Question", .string("Q?")), ("Complex_CoT", .string("C")), ("Response", .string("R")))
        #expect(
            try record(source)
                == .messages(chat(("user", "Q?"), ("assistant", "<think>C</think>R")).array ?? []))
        var configuration = DataConfiguration()
        configuration.systemPrompt = "S"
        #expect(
            try record(source, configuration)
                == .messages(
                    chat(("system", "S"), ("user", "Q?"), ("assistant", "<think>C</think>R"))
                        .array ?? []))
        configuration.columns.question = "question"
        #expect(throws: InputError.self) { try record(source, configuration) }
    }

    @Test func `ShareGPT names become roles, and stay under compat trl`() throws {
        let turns: JSON = .array([
            .object(row(("from", .string("human")), ("value", .string("Q")))),
            .object(row(("from", .string("gpt")), ("value", .string("A")))),
        ])
        let source = row(("conversations", turns))
        #expect(
            try record(source)
                == .messages(chat(("user", "Q"), ("assistant", "A")).array ?? []))
        var configuration = DataConfiguration()
        configuration.compatibility = .trl
        #expect(
            try record(source, configuration)
                == .messages(chat(("human", "Q"), ("gpt", "A")).array ?? []))
    }

    @Test(arguments: [
        (
            [row(("Question", .string("Q")), ("Complex_CoT", .string("C")))], RowSchema.reasoning,
            "rows.json: row 0: no column 'Response', found 'Question', 'Complex_CoT'; "
                + "complete the row, or name the column in the configuration"
        ),
        (
            [row(("text", .integer(3)))], .text,
            "rows.json: row 0: column 'text' is a number, expected text"
        ),
        (
            [row(("messages", .string("hi")))], .messages,
            "rows.json: row 0: column 'messages' is text, expected a list of messages"
        ),
        (
            [row(("messages", .array([])))], .messages,
            "rows.json: row 0: column 'messages' is an empty list, expected a list of messages"
        ),
        (
            [row(("messages", .array([.object(row(("role", .string("user"))))])))], .messages,
            "rows.json: row 0: messages[0] has no text in 'role' and 'content', found 'role'"
        ),
        (
            [row(("input_ids", .array([.integer(-1)])))], .tokens,
            "rows.json: row 0: 'input_ids' holds -1, which is no token id"
        ),
        (
            [row(("input_ids", .array([.integer(1)])), ("labels", .array([])))], .tokens,
            "rows.json: row 0: 'labels' has 0 values, 'input_ids' 1"
        ),
    ]) func `a row without its columns is one line`(
        rows: [JSON.Object], schema: RowSchema, line: String
    ) {
        var configuration = DataConfiguration()
        configuration.schema = schema
        #expect(errorLine { _ = try record(rows[0], configuration) } == line)
    }

    @Test func `unknown columns are listed`() {
        #expect(
            errorLine { _ = try record(row(("a", .null), ("b", .null))) }?
                .hasPrefix("rows.json: row 0: no known form of rows in the columns 'a', 'b'; ")
                == true)
    }

    @Test func `reasoning in a field of its own is refused`() {
        let message = row(
            ("role", .string("assistant")), ("content", .string("A")),
            ("reasoning_content", .string("C")))
        let line = errorLine { _ = try record(row(("messages", .array([.object(message)])))) }
        #expect(line?.contains("keeps its reasoning in 'reasoning_content'") == true)
    }

    private func record(
        _ row: JSON.Object, _ configuration: DataConfiguration = DataConfiguration()
    ) throws -> Record {
        let reader = try RecordReader(Dataset(file: "rows.json", rows: [row]), configuration)
        return try reader.record(row, at: 0)
    }
}
