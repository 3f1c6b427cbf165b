internal import OslerFormats

/// What of a model's repository is needed here.
package enum ModelFileChoice {
    /// What stands beside the weights.
    private static let descriptions: Set<String> = [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
        "chat_template.jinja", "chat_template.json", "model.safetensors.index.json",
    ]

    /// Description, tokenizer and weights of a model.
    ///
    /// - Throws: `InputError` when it has no weights that Osler reads.
    package static func model(_ listing: HubListing) throws -> [String] {
        let weights = weights(listing.files)
        guard weights.isEmpty else {
            return listing.files.filter { descriptions.contains($0) } + weights
        }
        let id = listing.repository.id
        if let example = listing.files.first(where: { $0.hasSuffix(".gguf") }) {
            throw InputError(
                "holds GGUF files, of which one is to be named", file: id,
                remedy: "for example \(id)/\(example)")
        }
        throw InputError(
            listing.files.contains { $0.hasSuffix(".bin") || $0.hasSuffix(".pth") }
                ? "has pickled weights only, which could run code when they are read"
                : "has no model.safetensors and no model.safetensors.index.json", file: id,
            remedy: "name a repository with safetensors")
    }

    /// One file, or the shards of an index.
    private static func weights(_ files: [String]) -> [String] {
        if files.contains(WeightStore.singleName) { return [WeightStore.singleName] }
        guard files.contains(WeightStore.indexName) else { return [] }
        return files.filter {
            $0.hasPrefix("model-") && $0.hasSuffix(".safetensors") && !$0.contains("/")
        }
    }

    /// The tokenizer alone.
    package static func tokenizer(_ listing: HubListing) throws -> [String] {
        let files = listing.files.filter {
            descriptions.contains($0) && $0 != WeightStore.indexName
        }
        guard files.contains("tokenizer.json") else {
            throw InputError(
                "has no tokenizer.json", file: listing.repository.id,
                remedy: "name a repository with one, or a .gguf file in it")
        }
        return files
    }

    /// A LoRA adapter.
    ///
    /// - Throws: `InputError` when there is none.
    package static func adapter(_ listing: HubListing) throws -> [String] {
        let needed = ["adapter_config.json", "adapter_model.safetensors"]
        if let missing = needed.first(where: { !listing.files.contains($0) }) {
            throw InputError(
                "has no \(missing)", file: listing.repository.id,
                remedy: "name a repository with a PEFT adapter in safetensors")
        }
        return needed
    }
}
