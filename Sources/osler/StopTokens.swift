internal import OslerData
internal import OslerFormats
internal import OslerModels
internal import OslerTokenizers

extension OpenModel {
    /// Ids that end an answer: the model's and the tokenizer's EOS, and what the chat template writes after an answer.
    func stopTokens() throws -> Set<Int32> {
        let generation = try files.generationConfiguration["eos_token_id"]
        let listed = generation?.integer.map { [$0] } ?? generation?.array?.compactMap(\.integer)
        var stop = Set(
            ((listed ?? []) + configuration.eosTokenIDs).compactMap(Int32.init(exactly:)))
        if let eos = context.tokenizer.eosToken { stop.insert(eos.id) }
        if let end = endOfTurn() { stop.insert(end) }
        return stop
    }

    /// The first special token that the template writes after the assistant's text.
    private func endOfTurn() -> Int32? {
        func message(_ role: String, _ content: String) -> JSON {
            ["role": .string(role), "content": .string(content)]
        }
        let mark = "osler-mark"
        guard
            let chat = try? context.render([message("user", "hello"), message("assistant", mark)]),
            let end = chat.text.end(ofLast: mark)
        else { return nil }
        let tokenizer = context.tokenizer
        let rest = tokenizer.encode(String(chat.text[end...]))
        return rest.first {
            tokenizer.decode([$0], skipSpecialTokens: true).isEmpty
                && !tokenizer.decode([$0]).isEmpty
        }
    }
}

extension String {
    /// The place behind the last `part`.
    fileprivate func end(ofLast part: String) -> Index? {
        var end = endIndex
        while !self[..<end].hasSuffix(part) {
            guard end > startIndex else { return nil }
            end = index(before: end)
        }
        return end
    }
}
