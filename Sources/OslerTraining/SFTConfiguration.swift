package import OslerCompute
package import OslerData
package import OslerFormats
package import OslerModels

/// Everything that `osler train` is told: a YAML file's keys, which are Hugging Face's names (TrainingArguments,
/// SFTConfig, LoraConfig, BitsAndBytesConfig), the seed notebook's, and a few of Osler's own.
package struct SFTConfiguration: Sendable {
    /// When something happens while training.
    package enum Interval: Sendable, Equatable {
        case never, epoch
        case steps(Int)
    }

    /// A model folder, a GGUF file, or a name on the hub.
    package var baseModel = ""
    /// Branch, tag or commit of a model on the hub.
    package var modelRevision: String?
    /// The hub is not asked; only its files on this machine are used.
    package var localFilesOnly = false
    /// An adapter to continue from.
    package var startingAdapter: String?
    /// What is computed in; nil: bfloat16, or float16 on a card that lacks it.
    package var precision: Precision?
    package var quantization = WeightQuantization.none
    package var lora = LoRAConfiguration()
    package var training = TrainingOptions()
    /// What is computed again in backward; nil: as little as memory allows.
    package var checkpointing: Checkpointing?
    /// Bytes that a run may take; nil: what the machine has left.
    package var maximumMemory: Int?
    package var evaluation = Interval.never
    package var saving = Interval.steps(500)
    /// Evaluate before the first step too.
    package var evaluatesOnStart = false

    package var dataset = ""
    /// Which configuration of a data set with several, branch, tag or commit, and split (`train`).
    package var datasetConfiguration: String?
    package var datasetRevision: String?
    package var datasetSplit: String?
    /// The split to evaluate on, of `evalDataset`.
    package var evalSplit: String?
    /// A file of its own to evaluate on; otherwise a part of `dataset`.
    package var evalDataset: String?
    package var split = SplitRecipe.standard
    package var data = DataConfiguration()

    /// Questions to answer at the end.
    package var taskEvaluation = TaskEvaluationOptions()

    package var outputDirectory = "trainer_output"
    /// Where the finished adapter goes.
    package var adapterDirectory = ""
    package var resumeFrom: String?
    /// Who is told about the run, beyond those who always are.
    package var trackers: [Tracker] = []
    /// What trackers call the run.
    package var runName: String?
    /// Where TensorBoard's files go; nil: `runs/DATE_HOST` in the output folder.
    package var loggingDirectory: String?
    /// Where the run computes.
    package var device = ComputeDevice.auto
    /// What happens where a card is too small for the model.
    package var deviceMap = DeviceMap.whole
    /// nil: one a core.
    package var threads: Int?
    /// Keys that were given and change nothing here.
    package var withoutEffect: [String] = []
    /// Every key that has a meaning here, aliases too; those of a section, as `section.key`, where it was given.
    package private(set) var acceptedKeys: [String] = []

    /// - Parameter object: the keys, after overrides.
    /// - Throws: an `InputError` that names the key.
    package init(_ object: JSON.Object, file: String? = nil) throws {
        var reader = ConfigurationReader(object, file: file)
        try readModel(&reader)
        try readLoRA(&reader)
        try readData(&reader)
        try readTraining(&reader)
        try readSchedule(&reader)
        try readTasks(&reader)
        try readOutput(&reader)
        try readTracking(&reader)
        withoutEffect = reader.ignored(Self.keysWithoutEffect)
        try reader.finish()
        acceptedKeys = reader.acceptedKeys
    }

    /// Settings of the Python stack that have nothing to act on here.
    static let keysWithoutEffect = [
        "attn_implementation", "use_cache", "dataset_num_proc", "dataloader_num_workers",
        "dataloader_pin_memory", "remove_unused_columns", "pad_token",
        "padding_free", "gradient_checkpointing_kwargs", "ddp_find_unused_parameters", "use_cpu",
        "disable_tqdm", "task_type", "use_peft", "bnb_4bit_quant_storage", "trust_remote_code",
        "logging_strategy", "overwrite_output_dir", "do_train", "do_eval",
        "group_by_length", "tf32",
    ]
}

extension SFTConfiguration {
    private mutating func readModel(_ reader: inout ConfigurationReader) throws {
        guard
            let model = try reader.string("base_model_name", "model_name_or_path", "base_model")
        else {
            throw reader.error(
                "base_model_name", "missing",
                remedy: "name a Hugging Face model folder, a .gguf file, or a model on the hub")
        }
        baseModel = model
        modelRevision = try reader.string("model_revision", "revision")
        localFilesOnly = try reader.bool("local_files_only") ?? false
        startingAdapter = try reader.string("adapter_name_or_path")
        try readPrecision(&reader)
        try readQuantization(&reader)
        if let text = try reader.string("device") {
            guard let named = ComputeDevice(text) else {
                throw reader.error(
                    "device", "\"\(text)\" is no device", remedy: "use auto, cpu, cuda or cuda:1")
            }
            device = named
        }
        try readDeviceMap(&reader)
        threads = try reader.integer("threads", "num_threads")
    }

    /// `bf16` and `fp16` decide, then `dtype`; but float32 in `dtype` means all of it.
    private mutating func readPrecision(_ reader: inout ConfigurationReader) throws {
        let (bf16, fp16) = (try reader.bool("bf16"), try reader.bool("fp16"))
        if bf16 == true, fp16 == true {
            throw reader.error(
                "fp16", "contradicts bf16: true",
                remedy: "leave one of the two out; without both the hardware decides")
        }
        precision = fp16 == true ? Precision.float16 : bf16.map { $0 ? .bfloat16 : .float32 }
        guard let dtype = try reader.string("dtype", "torch_dtype"), dtype != "auto" else { return }
        switch dtype {
        case "bfloat16": precision = precision ?? .bfloat16
        case "float16": precision = bf16 == true ? .bfloat16 : .float16
        case "float32": precision = .float32
        default:
            throw reader.error(
                "dtype", "\"\(dtype)\" is not available",
                remedy: "use bfloat16, float16 or float32")
        }
    }

    private mutating func readQuantization(_ reader: inout ConfigurationReader) throws {
        let type = try reader.string("bnb_4bit_quant_type")
        let double = try reader.bool("bnb_4bit_use_double_quant") ?? false
        let compute = try reader.string("bnb_4bit_compute_dtype").map { name throws -> Precision in
            let bare = name.hasPrefix("torch.") ? String(name.dropFirst(6)) : name
            guard let known = Precision(rawValue: bare) else {
                throw reader.error(
                    "bnb_4bit_compute_dtype", "\"\(name)\" is not available",
                    remedy: "use bfloat16, float16 or float32")
            }
            return known
        }
        if try reader.bool("load_in_8bit") == true {
            throw reader.error("load_in_8bit", "not available", remedy: "use load_in_4bit")
        }
        guard try reader.bool("load_in_4bit") ?? false else { return }
        guard type == "nf4" else {
            throw reader.error(
                "bnb_4bit_quant_type", "\(type ?? "fp4, the default,") is not available",
                remedy: "write bnb_4bit_quant_type: nf4")
        }
        try settle(compute, reader)
        quantization = .nf4(doubleQuantized: double)
    }

    /// The compute type of 4-bit weights, where nothing else says what is computed in; float32 means
    /// all of it.
    private mutating func settle(_ compute: Precision?, _ reader: ConfigurationReader) throws {
        switch (compute, precision) {
        case (nil, _): break
        case (.float32, _): precision = .float32
        case (.float16, .bfloat16), (.bfloat16, .float16):
            throw reader.error(
                "bnb_4bit_compute_dtype",
                "contradicts \(precision ?? .float32), by bf16, fp16 or dtype",
                remedy: "make it the same, or leave it out")
        case (let compute?, _): precision = precision ?? compute
        }
    }

    private mutating func readLoRA(_ reader: inout ConfigurationReader) throws {
        lora.rank =
            try reader.integer(
                "r", "lora_rank", "lora_r", maximum: LoRAConfiguration.largestRank) ?? lora.rank
        lora.alpha =
            try reader.positive("lora_alpha", below: LoRAConfiguration.alphaLimit) ?? lora.alpha
        lora.dropout = try reader.number("lora_dropout", below: 1) ?? lora.dropout
        lora.rankStabilized = try reader.bool("use_rslora") ?? false
        switch try reader.value("target_modules", "lora_target_modules") {
        case nil: break
        case .string("all-linear")?: lora.targets = .allLinear
        case .string(let pattern)?: lora.targets = .pattern(pattern)
        case .array(let names)? where names.allSatisfy({ $0.string != nil }):
            let names = names.compactMap(\.string)
            lora.targets = names == ["all-linear"] ? .allLinear : .names(names)
        default:
            throw reader.error(
                "target_modules", "neither a list of names nor text",
                remedy: "for example [q_proj, k_proj, v_proj, o_proj] or all-linear")
        }
        if let bias = try reader.string("bias", "lora_bias"), bias != "none" {
            throw reader.error("bias", "\"\(bias)\" is not available", remedy: "use none")
        }
        if try reader.bool("use_dora") == true {
            throw reader.error("use_dora", "not available", remedy: "leave it out")
        }
        if let initial = try reader.value("init_lora_weights"), initial != .bool(true) {
            throw reader.error("init_lora_weights", "only true is available")
        }
        lora.rankPattern = try (reader.mapping("rank_pattern")?.pairs ?? []).map { pair in
            guard let rank = LoRAConfiguration.rank(pair.value) else {
                throw reader.error(
                    "rank_pattern.\(pair.key)", "not " + LoRAConfiguration.rankDescription)
            }
            return (pair.key, rank)
        }
        lora.alphaPattern = try (reader.mapping("alpha_pattern")?.pairs ?? []).map { pair in
            guard let alpha = LoRAConfiguration.alpha(pair.value) else {
                throw reader.error(
                    "alpha_pattern.\(pair.key)", "not " + LoRAConfiguration.alphaDescription)
            }
            return (pair.key, alpha)
        }
    }

    private mutating func readOutput(_ reader: inout ConfigurationReader) throws {
        outputDirectory = try reader.string("output_dir") ?? outputDirectory
        let prefix = try reader.string("adapter_dir_prefix")
        adapterDirectory =
            prefix.map { FileSystem.join($0, Self.relativeName(baseModel)) } ?? outputDirectory
        resumeFrom = try reader.string("resume_from_checkpoint")
    }

    /// A model's path as the notebook puts it behind the prefix; an absolute one loses its leading slash.
    private static func relativeName(_ path: String) -> String {
        let parts = path.split(separator: "/").filter { $0 != "." && $0 != ".." }
        let name = parts.joined(separator: "/")
        return name.hasSuffix(".gguf") ? String(name.dropLast(5)) : name
    }
}
