internal import OslerData
internal import OslerFormats

extension SFTConfiguration {
    mutating func readData(_ reader: inout ConfigurationReader, file: String?) throws {
        guard let name = try reader.string("dataset_name", "dataset", "train_file") else {
            throw reader.error(
                "dataset_name", "missing", remedy: "name a .json or .jsonl file, plain or gzipped")
        }
        dataset = name
        evalDataset = try reader.string("eval_dataset_name", "eval_dataset", "validation_file")
        try readSplit(&reader, file: file)
        data.compatibility = try reader.choice("compat", as: Compatibility.self) ?? .osler
        data.schema = try reader.choice("dataset_schema", as: RowSchema.self)
        try readColumns(&reader, file: file)
        data.systemPrompt = try reader.string("system_prompt")
        data.completionOnlyLoss = try reader.bool("completion_only_loss")
        data.assistantOnlyLoss = try reader.bool("assistant_only_loss") ?? false
        data.maxLength =
            try reader.integer("max_length", "max_seq_length", "max_output_length") ?? 1024
        data.lengthPolicy = try reader.choice("max_length_policy", as: LengthPolicy.self)
        data.truncationMode =
            try reader.choice("truncation_mode", as: TruncationMode.self) ?? .keepStart
        data.packing = try reader.bool("packing") ?? false
        data.packingStrategy =
            try reader.choice("packing_strategy", as: PackingStrategy.self) ?? data.packingStrategy
        data.shuffleDataset = try reader.bool("shuffle_dataset") ?? false
        data.eosToken = try reader.string("eos_token")
        for pair in try reader.section("chat_template_kwargs")?.pairs ?? [] {
            data.templateVariables[pair.key] = pair.value
        }
    }

    private mutating func readSplit(_ reader: inout ConfigurationReader, file: String?) throws {
        guard let section = try reader.section("split") else {
            if evalDataset != nil { split = SplitRecipe(train: 1, eval: 0, test: 0, seed: 816) }
            return
        }
        var part = ConfigurationReader(section, file: file, prefix: "split.")
        split = SplitRecipe(
            train: try part.number("train") ?? 0.8, eval: try part.number("eval") ?? 0.1,
            test: try part.number("test") ?? 0.1,
            seed: UInt64(try part.integer("seed", minimum: 0) ?? 816))
        try part.finish()
    }

    private mutating func readColumns(_ reader: inout ConfigurationReader, file: String?) throws {
        if let text = try reader.string("dataset_text_field") { data.columns.text = text }
        guard let section = try reader.section("columns") else { return }
        var part = ConfigurationReader(section, file: file, prefix: "columns.")
        data.columns.question = try part.string("question") ?? data.columns.question
        data.columns.reasoning = try part.string("reasoning") ?? data.columns.reasoning
        data.columns.response = try part.string("response") ?? data.columns.response
        data.columns.messages = try part.string("messages") ?? data.columns.messages
        data.columns.prompt = try part.string("prompt") ?? data.columns.prompt
        data.columns.completion = try part.string("completion") ?? data.columns.completion
        data.columns.text = try part.string("text") ?? data.columns.text
        try part.finish()
    }
}
