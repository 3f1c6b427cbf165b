internal import OslerFormats

/// Reads the tokenizer in the metadata of a GGUF file (keys `tokenizer.ggml.*` of llama.cpp's
/// format), which names its pre-tokenizer instead of describing it.
struct GGUFTokenizer {
    let metadata: JSON.Object
    var source: TokenizerSource

    static func read(_ path: String) throws -> TokenizerSource {
        let file = try GGUFFile(path)
        var reader = GGUFTokenizer(
            metadata: file.metadata, source: TokenizerSource(file: path))
        try reader.read()
        return reader.source
    }

    private mutating func read() throws {
        guard let model = self["model"]?.string else { throw failure("model", "is missing") }
        guard model == "gpt2" else {
            throw failure(
                "model", "\"\(model)\" is not a known tokenizer model",
                "known is \"gpt2\", BPE over bytes")
        }
        try readTokens()
        try readMerges()
        let pre = self["pre"]?.string ?? "default"
        guard let known = GGUFPreTokenizer.named(pre) else {
            throw failure(
                "pre", "\"\(pre)\" is not a known pre-tokenizer",
                "known are " + GGUFPreTokenizer.all.flatMap(\.names).joined(separator: ", "))
        }
        source.preTokenizer = PreTokenizer(steps: known.steps)
        source.normalizer = known.normalizer
        source.ignoresMerges = known.ignoresMerges
        let bos = try token("bos_token_id")
        let eos = try token("eos_token_id")
        source.specials = TokenizerSource.SpecialTokens(
            bos: bos?.text, eos: eos?.text, pad: try token("padding_token_id")?.text,
            unk: try token("unknown_token_id")?.text)
        if self["add_bos_token"]?.bool ?? known.addsBOS, let bos { source.prefix = [bos.id] }
        if self["add_eos_token"]?.bool ?? false, let eos { source.suffix = [eos.id] }
        source.chatTemplate = metadata["tokenizer.chat_template"]?.string
    }

    private subscript(key: String) -> JSON? { metadata["tokenizer.ggml." + key] }

    /// Token types of llama.cpp: 3 is control, 4 user-defined; both are found in the text as they
    /// are, and only the former are special.
    private mutating func readTokens() throws {
        guard let tokens = self["tokens"]?.array, !tokens.isEmpty else {
            throw failure("tokens", "is missing or empty")
        }
        let types = self["token_type"]?.array ?? []
        if !types.isEmpty, types.count != tokens.count {
            throw failure("token_type", "has \(types.count) entries for \(tokens.count) tokens")
        }
        for (id, token) in tokens.enumerated() {
            guard let text = token.string else { throw failure("tokens[\(id)]", "must be text") }
            source.tokens.append(text.utf8)
            source.ids.append(id)
            guard !types.isEmpty, let type = types[id].integer, type == 3 || type == 4,
                !text.isEmpty
            else { continue }
            source.addedTokens.append(
                AddedToken(
                    id: Int32(truncatingIfNeeded: id), content: text, isSpecial: type == 3))
        }
    }

    private mutating func readMerges() throws {
        guard let merges = self["merges"]?.array else { throw failure("merges", "is missing") }
        for (rank, merge) in merges.enumerated() {
            let sides = merge.string?.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
            guard let sides, sides.count == 2 else {
                throw failure("merges[\(rank)]", "must be two tokens with a space between")
            }
            for side in sides { source.mergeSides.append(side) }
        }
    }

    private func token(_ key: String) throws -> (id: Int32, text: String)? {
        guard let value = self[key] else { return nil }
        guard let id = value.integer, id >= 0, id < source.tokens.count else {
            throw failure(key, "is not the id of one of \(source.tokens.count) tokens")
        }
        return (Int32(truncatingIfNeeded: id), source.tokens.text(id))
    }

    private func failure(_ key: String, _ problem: String, _ remedy: String? = nil) -> InputError {
        InputError(problem, file: source.file, field: "tokenizer.ggml." + key, remedy: remedy)
    }
}
