internal import OslerFormats
internal import OslerTokenizers

/// Ids and labels as TRL 1.16's `SFTTrainer` makes them, with its traps: `completion_only_loss`
/// does nothing for `messages`, the shipped template is taken as it is, a completion starts where
/// prompt and whole row stop having tokens in common, EOS is a string added to plain text, and
/// plain text that begins with BOS gets a second one.
struct TRLLabels: Sendable {
    let context: ChatContext
    let completionOnly: Bool
    let assistantOnly: Bool
    /// For `assistant_only_loss`, where the shipped template has no generation markers.
    let trainingTemplate: ChatTemplate?

    /// - Parameter schema: TRL decides about `completion_only_loss` by the columns.
    init(_ context: ChatContext, _ configuration: DataConfiguration, schema: RowSchema) throws {
        self.context = context
        completionOnly = configuration.completionOnlyLoss ?? (schema == .promptCompletion)
        assistantOnly = configuration.assistantOnlyLoss
        if assistantOnly, context.template?.hasGenerationMarkers == false {
            let source = context.template?.source ?? ""
            guard let marked = TrainingTemplates.trlTemplate(for: source) else {
                throw InputError(
                    "the chat template has no {% generation %} markers, which TRL's "
                        + "assistant_only_loss needs", field: "assistant_only_loss",
                    remedy: "leave out compat: trl, or mark the assistant's text in the template")
            }
            trainingTemplate = marked
        } else {
            trainingTemplate = nil
        }
    }

    func example(_ record: Record, row: Int) throws -> Example {
        switch record {
        case .messages(let messages):
            let (ids, assistant) = try encode(messages)
            return Example(ids: ids, lossMask: assistant, row: row)
        case .promptCompletion(let prompt, let completion):
            let text = try context.render(
                prompt, addGenerationPrompt: true, with: trainingTemplate
            ).text
            let (ids, assistant) = try encode(prompt + completion)
            let completed = completionMask(prompt: context.tokenizer.encode(text), whole: ids)
            return Example(ids: ids, lossMask: zip(assistant, completed).map { $0 && $1 }, row: row)
        case .plainPromptCompletion(let prompt, let completion):
            let promptIDs = context.tokenizer.encode(prompt, addSpecialTokens: true)
            let ids = context.tokenizer.encode(
                prompt + withEOS(completion), addSpecialTokens: true)
            return Example(
                ids: ids, lossMask: completionMask(prompt: promptIDs, whole: ids), row: row)
        case .text(let text):
            let ids = context.tokenizer.encode(withEOS(text), addSpecialTokens: true)
            return Example(ids: ids, lossMask: Array(repeating: true, count: ids.count), row: row)
        case .tokens(let ids, let completionMask, let labels):
            let completed = completionOnly ? completionMask : nil
            let all = Array(repeating: true, count: ids.count)
            return Example(ids: ids, lossMask: labels ?? completed ?? all, row: row)
        }
    }

    private func withEOS(_ text: String) -> String {
        guard let eos = context.eosToken?.text, !text.hasSuffix(eos) else { return text }
        return text + eos
    }

    /// False for the tokens that `prompt` and `whole` begin with in common.
    private func completionMask(prompt: [Int32], whole: [Int32]) -> [Bool] {
        guard completionOnly else { return Array(repeating: true, count: whole.count) }
        let common = zip(prompt, whole).prefix { $0 == $1 }.count
        return whole.indices.map { $0 >= common }
    }

    /// The ids of a conversation, and which of them the generation markers enclose (all without
    /// `assistant_only_loss`).
    private func encode(_ messages: [JSON]) throws -> ([Int32], [Bool]) {
        let chat = try context.render(messages, with: trainingTemplate)
        guard assistantOnly else {
            let ids = context.tokenizer.encode(chat.text)
            return (ids, Array(repeating: true, count: ids.count))
        }
        let encoding = context.tokenizer.encodeWithOffsets(chat.text)
        var mask = Array(repeating: false, count: encoding.ids.count)
        for span in chat.generationSpans where !span.isEmpty {
            guard let first = encoding.ranges.firstIndex(where: { $0.contains(span.lowerBound) })
            else { break }
            let last = encoding.ranges.firstIndex { $0.contains(span.upperBound - 1) }
            for index in first..<((last ?? mask.count - 1) + 1) { mask[index] = true }
        }
        guard mask.contains(true) else {
            throw InputError(
                "the row has no assistant tokens", field: "assistant_only_loss",
                remedy: "leave the row out")
        }
        return (encoding.ids, mask)
    }
}
