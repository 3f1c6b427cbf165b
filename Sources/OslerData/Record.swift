package import OslerFormats

/// A row's content, whatever columns it came from.
package enum Record: Sendable, Equatable {
    /// Messages as chat templates take them: objects with `role` and `content`.
    case messages([JSON])
    case promptCompletion(prompt: [JSON], completion: [JSON])
    case plainPromptCompletion(prompt: String, completion: String)
    case text(String)
    /// Already tokenized; `labels` where the row gives them (nil: -100), `completionMask` where it
    /// has one.
    case tokens(ids: [Int32], completionMask: [Bool]?, labels: [Bool]?)
}

/// The forms of rows that are understood.
package enum RowSchema: String, Sendable, CaseIterable {
    /// `Question`, `Complex_CoT`, `Response`: the reasoning stands in `<think>` tags before the
    /// response.
    case reasoning
    case messages
    /// Messages with `from` and `value`.
    case conversations
    case promptCompletion = "prompt_completion"
    case text
    case tokens

    /// The form that `columns` make up, the most structured first.
    ///
    /// - Throws: `InputError` naming the columns when there is none.
    package static func detect(
        _ columns: [String], names: ColumnNames = ColumnNames(), file: String? = nil
    ) throws -> RowSchema {
        let forms: [(RowSchema, [String])] = [
            (.tokens, ["input_ids"]), (.promptCompletion, [names.prompt, names.completion]),
            (.messages, [names.messages]), (.conversations, ["conversations"]),
            (.reasoning, [names.question, names.reasoning, names.response]), (.text, [names.text]),
        ]
        let found = forms.first { form in form.1.allSatisfy(columns.contains) }
        if let found { return found.0 }
        let listed = columns.map { "'\($0)'" }.joined(separator: ", ")
        throw InputError(
            "no known form of rows in the columns \(listed)", file: file, field: "row 0",
            remedy: "name the columns in the configuration; known are "
                + forms.map { $0.1.joined(separator: "+") }.joined(separator: ", "))
    }
}

/// Reads rows of one form into records.
package struct RecordReader: Sendable {
    package let schema: RowSchema
    let configuration: DataConfiguration
    let file: String

    package init(_ dataset: Dataset, _ configuration: DataConfiguration) throws {
        (self.configuration, file) = (configuration, dataset.file)
        let names = configuration.columns
        schema =
            try configuration.schema
            ?? RowSchema.detect(dataset.columns, names: names, file: dataset.file)
        let isChat = schema == .reasoning || schema == .messages || schema == .conversations
        if configuration.systemPrompt != nil, !isChat, schema != .promptCompletion {
            throw InputError(
                "a system prompt needs messages, the rows are \(schema.rawValue)",
                file: file, field: "system_prompt", remedy: "leave it out or give messages")
        }
    }

    /// - Throws: `InputError` with the row, the column and the columns that the row has.
    package func record(_ row: JSON.Object, at index: Int) throws -> Record {
        let names = configuration.columns
        switch schema {
        case .reasoning:
            let question = try text(row, names.question, index)
            let reasoning = try text(row, names.reasoning, index)
            let response = try text(row, names.response, index)
            return .messages(
                withSystemPrompt([
                    message("user", question),
                    message("assistant", "<think>\(reasoning)</think>\(response)"),
                ]))
        case .messages:
            return .messages(withSystemPrompt(try messages(row, names.messages, index)))
        case .conversations:
            return .messages(withSystemPrompt(try messages(row, "conversations", index)))
        case .promptCompletion:
            return try promptCompletion(row, index)
        case .text:
            return .text(try text(row, names.text, index))
        case .tokens:
            return try tokens(row, index)
        }
    }

    private func promptCompletion(_ row: JSON.Object, _ index: Int) throws -> Record {
        let names = configuration.columns
        if case .array = try column(row, names.prompt, index) {
            return .promptCompletion(
                prompt: withSystemPrompt(try messages(row, names.prompt, index)),
                completion: try messages(row, names.completion, index))
        }
        guard configuration.systemPrompt == nil else {
            throw fault(
                index, "a system prompt needs messages, '\(names.prompt)' is plain text",
                remedy: "leave system_prompt out or give messages")
        }
        return .plainPromptCompletion(
            prompt: try text(row, names.prompt, index),
            completion: try text(row, names.completion, index))
    }

    private func tokens(_ row: JSON.Object, _ index: Int) throws -> Record {
        let ids = try integers(row, "input_ids", index).map { value -> Int32 in
            guard let id = Int32(exactly: value), id >= 0 else {
                throw fault(index, "'input_ids' holds \(value), which is no token id")
            }
            return id
        }
        func mask(_ name: String, isLabel: (Int) -> Bool) throws -> [Bool]? {
            guard row[name] != nil else { return nil }
            let values = try integers(row, name, index)
            guard values.count == ids.count else {
                throw fault(
                    index, "'\(name)' has \(values.count) values, 'input_ids' \(ids.count)")
            }
            return values.map(isLabel)
        }
        return .tokens(
            ids: ids, completionMask: try mask("completion_mask") { $0 != 0 },
            labels: try mask("labels") { $0 != -100 })
    }

    private func integers(_ row: JSON.Object, _ name: String, _ index: Int) throws -> [Int] {
        let value = try column(row, name, index)
        let numbers = value.array?.map(\.integer)
        guard let numbers, !numbers.contains(nil) else {
            throw fault(index, "'\(name)' is \(value.kindName), expected a list of whole numbers")
        }
        return numbers.compactMap { $0 }
    }

    private func column(_ row: JSON.Object, _ name: String, _ index: Int) throws -> JSON {
        guard let value = row[name] else {
            let found = row.keys.map { "'\($0)'" }.joined(separator: ", ")
            throw fault(
                index, "no column '\(name)', found \(found.isEmpty ? "none" : found)",
                remedy: "complete the row, or name the column in the configuration")
        }
        return value
    }

    private func text(_ row: JSON.Object, _ name: String, _ index: Int) throws -> String {
        let value = try column(row, name, index)
        guard let text = value.string else {
            throw fault(index, "column '\(name)' is \(value.kindName), expected text")
        }
        return text
    }

    func fault(_ index: Int, _ problem: String, remedy: String? = nil) -> InputError {
        InputError(problem, file: file, field: "row \(index)", remedy: remedy)
    }
}

// MARK: Messages

extension RecordReader {
    private func message(_ role: String, _ content: String) -> JSON {
        .object(JSON.Object([("role", .string(role)), ("content", .string(content))]))
    }

    private func withSystemPrompt(_ messages: [JSON]) -> [JSON] {
        guard let prompt = configuration.systemPrompt,
            !messages.contains(where: { $0["role"]?.string == "system" })
        else { return messages }
        return [message("system", prompt)] + messages
    }

    private func messages(_ row: JSON.Object, _ name: String, _ index: Int) throws -> [JSON] {
        let value = try column(row, name, index)
        guard let list = value.array, !list.isEmpty else {
            let found = value.array == nil ? value.kindName : "an empty list"
            throw fault(index, "column '\(name)' is \(found), expected a list of messages")
        }
        return try list.indices.map { try message(list[$0], "\(name)[\($0)]", index) }
    }

    /// `from` and `value` become `role` and `content`. TRL leaves ShareGPT's role names as they
    /// are, so that templates don't know them; Osler translates them.
    private func message(_ value: JSON, _ place: String, _ index: Int) throws -> JSON {
        guard let given = value.object else {
            throw fault(
                index, "\(place) is \(value.kindName), expected an object with role and content")
        }
        var message = JSON.Object()
        for (key, value) in given.pairs where key != "from" && key != "value" {
            message[key] = value
        }
        if let from = given["from"] { message["role"] = from }
        if let value = given["value"] { message["content"] = value }
        if configuration.compatibility == .trl { return .object(message) }
        guard let role = message["role"]?.string, message["content"]?.string != nil else {
            throw fault(
                index,
                "\(place) has no text in 'role' and 'content', found "
                    + given.keys.map { "'\($0)'" }.joined(separator: ", "))
        }
        let hasReasoning = ["reasoning_content", "reasoning", "thinking"].first {
            message[$0]?.string?.isEmpty == false
        }
        if let key = hasReasoning {
            throw fault(
                index, "\(place) keeps its reasoning in '\(key)', where templates lose it",
                remedy: "write it into 'content' as <think>...</think>")
        }
        let knownNames = ["human": "user", "gpt": "assistant", "model": "assistant"]
        if given["from"] != nil, let known = knownNames[role] { message["role"] = .string(known) }
        return .object(message)
    }
}
