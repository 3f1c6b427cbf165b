internal import OslerFormats

/// Reads a Hugging Face folder: `tokenizer.json`, and from `tokenizer_config.json` (or
/// `special_tokens_map.json`) which tokens are BOS, EOS, padding and unknown, and the chat template.
enum TokenizerFolder {
    static func read(_ folder: String) throws -> TokenizerSource {
        let path = FileSystem.join(folder, "tokenizer.json")
        guard FileSystem.isFile(path) else {
            throw InputError(
                "has no tokenizer.json", file: folder,
                remedy: "give a folder with tokenizer.json or a .gguf file")
        }
        var source = try TokenizerFile.read(path)
        let configuration = try optional(FileSystem.join(folder, "tokenizer_config.json"))
        let map = try optional(FileSystem.join(folder, "special_tokens_map.json"))
        func special(_ name: String) throws -> String? {
            try content(configuration.json[name], configuration.path, name)
                ?? content(map.json[name], map.path, name)
        }
        source.specials.bos = try special("bos_token")
        source.specials.eos = try special("eos_token")
        source.specials.pad = try special("pad_token")
        source.specials.unk = try special("unk_token")
        // A file of its own replaces the template in the configuration.
        let template = FileSystem.join(folder, "chat_template.jinja")
        source.chatTemplate =
            FileSystem.isFile(template)
            ? try FileSystem.readText(template) : self.template(configuration.json["chat_template"])
        return source
    }

    private static func optional(_ path: String) throws -> (json: JSON, path: String) {
        guard FileSystem.isFile(path) else { return (.null, path) }
        return (try JSON.parse(FileSystem.read(path), file: path), path)
    }

    /// A token is written as text or as an object with `content`.
    private static func content(_ json: JSON?, _ path: String, _ field: String) throws -> String? {
        guard let json, !json.isNull else { return nil }
        guard let text = json.string ?? json["content"]?.string else {
            throw InputError("must be a token's text", file: path, field: field)
        }
        return text
    }

    /// The template, or the one named "default" among several.
    private static func template(_ json: JSON?) -> String? {
        if let text = json?.string { return text }
        let templates = json?.array ?? []
        let chosen = templates.first { $0["name"]?.string == "default" } ?? templates.first
        return chosen?["template"]?.string
    }
}
