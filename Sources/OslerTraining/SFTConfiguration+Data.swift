internal import OslerData
internal import OslerFormats

extension SFTConfiguration {
    mutating func readData(_ reader: inout ConfigurationReader) throws {
        guard let name = try reader.string("dataset_name", "dataset", "train_file") else {
            throw reader.error(
                "dataset_name", "missing",
                remedy: "name a .json, .jsonl, .csv or .parquet file, or a data set on the hub")
        }
        dataset = name
        datasetConfiguration = try reader.string("dataset_config_name", "dataset_config")
        datasetRevision = try reader.string("dataset_revision")
        datasetSplit = try reader.string("dataset_split", "dataset_train_split")
        evalDataset = try reader.string("eval_dataset_name", "eval_dataset", "validation_file")
        evalSplit = try reader.string("eval_split", "dataset_test_split")
        // A split to evaluate on is one of the same data set, unless another is named.
        if evalSplit != nil { evalDataset = evalDataset ?? name }
        try readSplit(&reader)
        data.compatibility = try reader.choice("compat", as: Compatibility.self) ?? .osler
        data.schema = try reader.choice("dataset_schema", as: RowSchema.self)
        try readColumns(&reader)
        data.systemPrompt = try reader.string("system_prompt")
        data.completionOnlyLoss = try reader.bool("completion_only_loss")
        data.assistantOnlyLoss = try reader.bool("assistant_only_loss") ?? false
        // None is no limit in TRL, and not its default.
        let hasNoLimit = reader.isNull("max_length", "max_seq_length", "max_output_length")
        data.maxLength =
            try reader.integer("max_length", "max_seq_length", "max_output_length")
            ?? (hasNoLimit ? nil : data.maxLength)
        data.lengthPolicy = try reader.choice("max_length_policy", as: LengthPolicy.self)
        data.truncationMode =
            try reader.choice("truncation_mode", as: TruncationMode.self) ?? .keepStart
        data.packing = try reader.bool("packing") ?? false
        data.packingStrategy =
            try reader.choice("packing_strategy", as: PackingStrategy.self) ?? data.packingStrategy
        data.shuffleDataset = try reader.bool("shuffle_dataset") ?? false
        data.eosToken = try reader.string("eos_token")
        for pair in try reader.mapping("chat_template_kwargs")?.pairs ?? [] {
            data.templateVariables[pair.key] = pair.value
        }
    }

    private mutating func readSplit(_ reader: inout ConfigurationReader) throws {
        let recipe = try reader.section("split") { part in
            SplitRecipe(
                train: try part.number("train") ?? 0.8, eval: try part.number("eval") ?? 0.1,
                test: try part.number("test") ?? 0.1,
                seed: UInt64(try part.integer("seed", minimum: 0) ?? 816))
        }
        if let recipe {
            split = recipe
        } else if evalDataset != nil {
            split = SplitRecipe(train: 1, eval: 0, test: 0, seed: 816)
        }
    }

    private mutating func readColumns(_ reader: inout ConfigurationReader) throws {
        if let text = try reader.string("dataset_text_field") { data.columns.text = text }
        let columns = data.columns
        let named = try reader.section("columns") { part in
            var names = columns
            names.question = try part.string("question") ?? names.question
            names.reasoning = try part.string("reasoning") ?? names.reasoning
            names.response = try part.string("response") ?? names.response
            names.messages = try part.string("messages") ?? names.messages
            names.prompt = try part.string("prompt") ?? names.prompt
            names.completion = try part.string("completion") ?? names.completion
            names.text = try part.string("text") ?? names.text
            return names
        }
        data.columns = named ?? columns
    }
}
