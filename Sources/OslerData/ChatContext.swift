package import OslerFormats
package import OslerTokenizers

/// A tokenizer with the chat template that goes with it: everything that turns text into ids.
package struct ChatContext: Sendable {
    package let tokenizer: Tokenizer
    /// As the model ships it: what inference uses. nil when there is none.
    package let template: ChatTemplate?
    let variables: [String: JSON]
    /// The token that ends a text, as the configuration or the tokenizer names it.
    package let eosToken: Tokenizer.SpecialToken?
    /// The tokenizer itself puts a BOS before a text.
    let addsBOS: Bool

    /// - Parameter template: nil takes the tokenizer's own.
    /// - Throws: `InputError` for a template that can't be read, or an `eos_token` that is no
    ///   token.
    package init(
        tokenizer: Tokenizer, template: ChatTemplate? = nil, eosToken: String? = nil,
        templateVariables: [String: JSON] = [:]
    ) throws {
        self.tokenizer = tokenizer
        self.template = try template ?? tokenizer.chatTemplate.map { try ChatTemplate($0) }
        if let eosToken {
            guard let id = tokenizer.id(of: eosToken) else {
                throw InputError(
                    "'\(eosToken)' is not a token of this tokenizer", field: "eos_token",
                    remedy: "name one of its tokens, or leave it out")
            }
            self.eosToken = Tokenizer.SpecialToken(id: id, text: eosToken)
        } else {
            self.eosToken = tokenizer.eosToken
        }
        let empty = tokenizer.encode("", addSpecialTokens: true)
        addsBOS = tokenizer.bosToken.map { empty.first == $0.id } ?? false
        var variables: [String: JSON] = [:]
        let named = [
            ("bos_token", tokenizer.bosToken?.text), ("eos_token", self.eosToken?.text),
            ("pad_token", tokenizer.padToken?.text), ("unk_token", tokenizer.unkToken?.text),
        ]
        for (name, text) in named {
            if let text { variables[name] = .string(text) }
        }
        self.variables = variables.merging(templateVariables) { $1 }
    }

    /// Renders with the shipped template, or with `template`.
    ///
    /// - Throws: `InputError` when there is no template, or it refuses the messages.
    package func render(
        _ messages: [JSON], addGenerationPrompt: Bool = false, with template: ChatTemplate? = nil
    ) throws -> RenderedChat {
        guard let template = template ?? self.template else {
            throw InputError(
                "the model has no chat template, the rows are messages", field: "chat_template",
                remedy: "give a chat template, or rows of prompt and completion text")
        }
        return try template.render(
            messages, addGenerationPrompt: addGenerationPrompt, variables: variables)
    }

    /// A text's ids with a BOS in front where the tokenizer puts one, and never two.
    func encodeWithBOS(_ text: String) -> [Int32] {
        let ids = tokenizer.encode(text)
        guard addsBOS, let bos = tokenizer.bosToken, ids.first != bos.id else { return ids }
        return [bos.id] + ids
    }

    /// The token ends a turn: EOS, or another special token.
    func isStop(_ id: Int32) -> Bool {
        if id == eosToken?.id { return true }
        if id == tokenizer.bosToken?.id { return false }
        return tokenizer.decode([id], skipSpecialTokens: true).isEmpty
            && !tokenizer.decode([id]).isEmpty
    }
}
