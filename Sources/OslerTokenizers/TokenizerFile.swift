internal import OslerFormats

/// Reads `tokenizer.json`, the file of Hugging Face's `tokenizers`.
struct TokenizerFile {
    let path: String
    var source: TokenizerSource

    static func read(_ path: String) throws -> TokenizerSource {
        let file = try MappedFile(path)
        var reader = TokenizerFile(path: path, source: TokenizerSource(file: path))
        try file.withBytes { bytes in
            try bytes.withMemoryRebound(to: UInt8.self) { try reader.read($0) }
        }
        return reader.source
    }

    /// The vocabulary and the merges, nearly all of the file, are read straight into byte strings;
    /// the rest is parsed as JSON. Whatever the fast reader can't make sense of is left to the JSON
    /// parser to complain about.
    private mutating func read(_ bytes: UnsafeBufferPointer<UInt8>) throws {
        var tables = TokenizerTables(bytes)
        guard let spans = tables.find() else {
            try checkWhole(bytes)
            throw failure("model", "no vocabulary and merges are in it", knownModels)
        }
        do {
            try readSettings(JSON.parse(tables.remainder(without: spans), file: path))
        } catch {
            try checkWhole(bytes)
            throw error
        }
        guard tables.readVocabulary(spans.vocabulary, into: &source) else {
            try checkWhole(bytes)
            throw failure("model.vocab", "must map each token to an id of 0 or more")
        }
        guard tables.readMerges(spans.merges, into: &source) else {
            try checkWhole(bytes)
            throw failure("model.merges", "must be a list of \"left right\" or [left, right]")
        }
    }

    /// Throws the JSON parser's error, with line and column, if the file is no JSON.
    private func checkWhole(_ bytes: UnsafeBufferPointer<UInt8>) throws {
        _ = try JSON.parse(UnsafeRawBufferPointer(bytes), file: path)
    }

    private mutating func readSettings(_ json: JSON) throws {
        guard json.object != nil else { throw failure(nil, "is not a JSON object") }
        try readModel(json["model"] ?? .null)
        try readAddedTokens(json["added_tokens"])
        source.normalizer = try normalizer(json["normalizer"], "normalizer")
        source.preTokenizer = PreTokenizer(
            steps: try PreTokenizerReader(file: path).steps(json["pre_tokenizer"]))
        try readPostProcessor(json["post_processor"], "post_processor")
        try checkDecoder(json["decoder"])
    }

    // MARK: Model

    private var knownModels: String { "known is BPE over bytes" }

    private mutating func readModel(_ model: JSON) throws {
        if let type = model["type"], type.string != "BPE" {
            throw failure(
                "model.type", "\(named(type)) is not a known tokenizer model", knownModels)
        }
        if let dropout = model["dropout"], !dropout.isNull, dropout.double != 0 {
            throw failure("model.dropout", "merges that are dropped at random are not known")
        }
        for affix in ["continuing_subword_prefix", "end_of_word_suffix"] {
            guard let value = model[affix], !value.isNull, value.string != "" else { continue }
            throw failure("model.\(affix)", "\(named(value)) is not known; BPE over bytes has none")
        }
        source.ignoresMerges = model["ignore_merges"]?.bool ?? false
        source.unknownToken = model["unk_token"]?.string
        source.fusesUnknown = model["fuse_unk"]?.bool ?? false
    }

    private mutating func readAddedTokens(_ list: JSON?) throws {
        guard let list, !list.isNull else { return }
        guard let items = list.array else { throw failure("added_tokens", "must be a list") }
        for (i, item) in items.enumerated() {
            guard let content = item["content"]?.string,
                let id = item["id"]?.integer.flatMap(Int32.init(exactly:)), id >= 0
            else { throw failure("added_tokens[\(i)]", "needs a content and an id of 0 or more") }
            if content.isEmpty { continue }
            func flag(_ name: String) -> Bool { item[name]?.bool ?? false }
            source.addedTokens.append(
                AddedToken(
                    id: id, content: content, isSpecial: flag("special"),
                    isSingleWord: flag("single_word"), stripsLeft: flag("lstrip"),
                    stripsRight: flag("rstrip"), isNormalized: flag("normalized")))
        }
    }

    // MARK: Steps around the model

    private func normalizer(_ json: JSON?, _ field: String) throws -> Normalizer {
        guard let json, !json.isNull else { return .none }
        switch json["type"]?.string {
        case "NFC": return .nfc
        case "Sequence":
            var result = Normalizer.none
            for (i, item) in (json["normalizers"]?.array ?? []).enumerated() {
                if try normalizer(item, "\(field).normalizers[\(i)]") == .nfc { result = .nfc }
            }
            return result
        default:
            throw failure(
                field, "\(named(json["type"])) is not a known normalizer",
                "known are NFC and Sequence")
        }
    }

    private mutating func readPostProcessor(_ json: JSON?, _ field: String) throws {
        guard let json, !json.isNull else { return }
        switch json["type"]?.string {
        case "ByteLevel": break
        case "Sequence":
            for (i, item) in (json["processors"]?.array ?? []).enumerated() {
                try readPostProcessor(item, "\(field).processors[\(i)]")
            }
        case "TemplateProcessing": try readTemplate(json, field)
        default:
            throw failure(
                field, "\(named(json["type"])) is not a known post-processor",
                "known are TemplateProcessing, ByteLevel and Sequence")
        }
    }

    /// `single`: special tokens around one sequence.
    private mutating func readTemplate(_ json: JSON, _ field: String) throws {
        var hasSequence = false
        for (i, item) in (json["single"]?.array ?? []).enumerated() {
            if item["Sequence"] != nil {
                hasSequence = true
                continue
            }
            guard let name = item["SpecialToken"]?["id"]?.string,
                let ids = json["special_tokens"]?[name]?["ids"]?.array?.compactMap({
                    $0.integer.flatMap(Int32.init(exactly:))
                }), !ids.isEmpty
            else { throw failure("\(field).single[\(i)]", "names no special token with ids") }
            if hasSequence { source.suffix += ids } else { source.prefix += ids }
        }
        if !hasSequence { throw failure("\(field).single", "has no place for the text") }
    }

    private func checkDecoder(_ json: JSON?) throws {
        guard let json else { return }
        let types =
            json["type"]?.string == "Sequence"
            ? (json["decoders"]?.array ?? []).map { $0["type"] } : [json["type"]]
        guard types.count == 1, types[0]?.string == "ByteLevel" else {
            throw failure(
                "decoder", "\(named(json["type"])) is not a known decoder", "known is ByteLevel")
        }
    }

    private func named(_ json: JSON?) -> String {
        guard let json else { return "a missing type" }
        return json.string.map { "\"\($0)\"" } ?? "this value"
    }

    private func failure(_ field: String?, _ problem: String, _ remedy: String? = nil) -> InputError
    {
        InputError(problem, file: path, field: field, remedy: remedy)
    }
}
