import OslerFormats
import Testing

/// A key of a configuration, the value to try, and the options that it changes.
struct ConfigurationKey: Sendable, CustomTestStringConvertible {
    enum Kind: Sendable {
        case text, flag, whole, number, mapping
        /// Only these values are wrong.
        case other([JSON])

        /// Values of the wrong kind or out of range.
        var wrong: [JSON] {
            switch self {
            case .text: [3, true, [1], ["a": 1]]
            case .flag: ["perhaps", 3, [1], ["a": 1]]
            case .whole: ["many", 2.5, true, -7, 3_000_000_000, [1], ["a": 1]]
            case .number: ["many", true, -1, "inf", "nan", [1], ["a": 1]]
            case .mapping: ["text", 3, true, [1]]
            case .other(let values): values
            }
        }
    }

    /// The key and its aliases; `section.key` in a section.
    let names: [String]
    let kind: Kind
    let value: JSON
    /// The options that change, by their path in `SFTConfiguration`, as Swift prints them.
    let lands: [String: String]
    /// Values of the right kind that are not available.
    var refused: [JSON] = []
    /// Keys that must stand beside it for it to matter.
    var beside: JSON.Object = [:]

    init(
        _ names: String..., kind: Kind, value: JSON, lands: [String: String], refused: [JSON] = [],
        beside: JSON.Object = [:]
    ) {
        (self.names, self.kind, self.value, self.lands) = (names, kind, value, lands)
        (self.refused, self.beside) = (refused, beside)
    }

    var testDescription: String { names[0] }
}

extension ConfigurationKey {
    private static let nf4: JSON.Object = ["load_in_4bit": true, "bnb_4bit_quant_type": "nf4"]

    static let all = model + adapter + data + sections + training + schedule + output

    private static let model = [
        Self(
            "base_model_name", "model_name_or_path", "base_model", kind: .text, value: "other",
            lands: ["baseModel": "other"]),
        Self(
            "model_revision", "revision", kind: .text, value: "v1",
            lands: ["modelRevision": "v1"]),
        Self("local_files_only", kind: .flag, value: true, lands: ["localFilesOnly": "true"]),
        Self(
            "adapter_name_or_path", kind: .text, value: "a", lands: ["startingAdapter": "a"]),
        Self("bf16", kind: .flag, value: false, lands: ["precision": "float32"]),
        Self("fp16", kind: .flag, value: true, lands: ["precision": "float16"]),
        Self(
            "dtype", "torch_dtype", kind: .text, value: "float32",
            lands: ["precision": "float32"], refused: ["int8", "float64"]),
        Self(
            "device", kind: .text, value: "cuda", lands: ["device": "cuda:0"],
            refused: ["tpu", "cuda:", "cuda:-1", "cuda:one", "cuda:01"]),
        Self(
            "device_map", kind: .other([3, true, [1], ["": 1], ["model.layers.0": 0]]),
            value: "auto", lands: ["deviceMap": "auto"],
            refused: ["balanced", "sequential", "cuda:0", ["": "cpu"]]),
        Self("threads", "num_threads", kind: .whole, value: 3, lands: ["threads": "3"]),
        Self(
            "load_in_4bit", kind: .flag, value: true,
            lands: ["quantization": "nf4(doubleQuantized: false)"],
            beside: ["bnb_4bit_quant_type": "nf4"]),
        Self("load_in_8bit", kind: .flag, value: false, lands: [:], refused: [true]),
        Self("bnb_4bit_quant_type", kind: .text, value: "nf4", lands: [:]),
        Self(
            "bnb_4bit_use_double_quant", kind: .flag, value: true,
            lands: ["quantization": "nf4(doubleQuantized: true)"], beside: nf4),
        Self(
            "bnb_4bit_compute_dtype", kind: .text, value: "float32",
            lands: ["precision": "float32"], refused: ["int8", "torch.uint8"], beside: nf4),
    ]

    private static let adapter = [
        Self("r", "lora_rank", "lora_r", kind: .whole, value: 5, lands: ["lora.rank": "5"]),
        Self("lora_alpha", kind: .number, value: 7, lands: ["lora.alpha": "7.0"]),
        Self(
            "lora_dropout", kind: .number, value: 0.25, lands: ["lora.dropout": "0.25"],
            refused: [1]),
        Self("use_rslora", kind: .flag, value: true, lands: ["lora.rankStabilized": "true"]),
        Self(
            "target_modules", "lora_target_modules", kind: .other([3, true, [1], ["a": 1]]),
            value: ["q_proj", "o_proj"], lands: ["lora.targets": "names([\"q_proj\", \"o_proj\"])"]
        ),
        Self("bias", "lora_bias", kind: .text, value: "none", lands: [:], refused: ["all"]),
        Self("use_dora", kind: .flag, value: false, lands: [:], refused: [true]),
        Self(
            "init_lora_weights", kind: .other([3, [1]]), value: true, lands: [:],
            refused: [false, "pissa"]),
        Self(
            "rank_pattern", kind: .mapping, value: ["q_proj": 3],
            lands: ["lora.rankPattern": "[(key: \"q_proj\", value: 3)]"]),
        Self(
            "alpha_pattern", kind: .mapping, value: ["q_proj": 3],
            lands: ["lora.alphaPattern": "[(key: \"q_proj\", value: 3.0)]"]),
    ]

    private static let data = [
        Self(
            "dataset_name", "dataset", "train_file", kind: .text, value: "other",
            lands: ["dataset": "other"]),
        Self(
            "dataset_config_name", "dataset_config", kind: .text, value: "en",
            lands: ["datasetConfiguration": "en"]),
        Self("dataset_revision", kind: .text, value: "v1", lands: ["datasetRevision": "v1"]),
        Self(
            "dataset_split", "dataset_train_split", kind: .text, value: "validation",
            lands: ["datasetSplit": "validation"]),
        Self(
            "eval_split", "dataset_test_split", kind: .text, value: "validation",
            lands: [
                "evalSplit": "validation", "evalDataset": "d", "split.train": "1.0",
                "split.eval": "0.0", "split.test": "0.0",
            ]),
        // Another file to evaluate on leaves all rows of the first to training.
        Self(
            "eval_dataset_name", "eval_dataset", "validation_file", kind: .text, value: "e",
            lands: [
                "evalDataset": "e", "split.train": "1.0", "split.eval": "0.0", "split.test": "0.0",
            ]),
        Self("compat", kind: .text, value: "trl", lands: ["data.compatibility": "trl"]),
        Self(
            "dataset_schema", kind: .text, value: "prompt_completion",
            lands: ["data.schema": "promptCompletion"], refused: ["table"]),
        Self(
            "dataset_text_field", kind: .text, value: "body", lands: ["data.columns.text": "body"]),
        Self("system_prompt", kind: .text, value: "s", lands: ["data.systemPrompt": "s"]),
        Self(
            "completion_only_loss", kind: .flag, value: false,
            lands: ["data.completionOnlyLoss": "false"]),
        Self(
            "assistant_only_loss", kind: .flag, value: true,
            lands: ["data.assistantOnlyLoss": "true"]),
        Self(
            "max_length", "max_seq_length", "max_output_length", kind: .whole, value: 77,
            lands: ["data.maxLength": "77"]),
        Self(
            "max_length_policy", kind: .text, value: "truncate",
            lands: ["data.lengthPolicy": "truncate"], refused: ["shorten"]),
        Self(
            "truncation_mode", kind: .text, value: "keep_end",
            lands: ["data.truncationMode": "keepEnd"], refused: ["keep_middle"]),
        Self("packing", kind: .flag, value: true, lands: ["data.packing": "true"]),
        Self(
            "packing_strategy", kind: .text, value: "wrapped",
            lands: ["data.packingStrategy": "wrapped"], refused: ["ffd"]),
        Self("shuffle_dataset", kind: .flag, value: true, lands: ["data.shuffleDataset": "true"]),
        Self("eos_token", kind: .text, value: "</s>", lands: ["data.eosToken": "</s>"]),
        Self(
            "chat_template_kwargs", kind: .mapping, value: ["enable_thinking": true],
            lands: [
                "data.templateVariables": "[\"enable_thinking\": OslerFormats.JSON.bool(true)]"
            ]),
    ]

    private static let sections =
        [
            Self(
                "split", kind: .mapping, value: ["train": 0.5, "eval": 0.5, "test": 0],
                lands: ["split.train": "0.5", "split.eval": "0.5", "split.test": "0.0"]),
            Self("split.train", kind: .number, value: 0.7, lands: ["split.train": "0.7"]),
            Self("split.eval", kind: .number, value: 0.2, lands: ["split.eval": "0.2"]),
            Self("split.test", kind: .number, value: 0.3, lands: ["split.test": "0.3"]),
            Self("split.seed", kind: .whole, value: 7, lands: ["split.seed": "7"]),
            Self(
                "columns", kind: .mapping, value: ["text": "body"],
                lands: ["data.columns.text": "body"]),
        ]
        + [
            "question", "reasoning", "response", "messages", "prompt", "completion", "text",
        ].map {
            Self(
                "columns.\($0)", kind: .text, value: "other", lands: ["data.columns.\($0)": "other"]
            )
        }

    private static let training = [
        // Evaluation takes the same batches unless told otherwise.
        Self(
            "per_device_train_batch_size", "batch_size", kind: .whole, value: 3,
            lands: ["training.batchSize": "3", "training.evalBatchSize": "3"]),
        Self(
            "per_device_eval_batch_size", kind: .whole, value: 3,
            lands: ["training.evalBatchSize": "3"]),
        Self(
            "gradient_accumulation_steps", kind: .whole, value: 3,
            lands: ["training.accumulation": "3"]),
        Self(
            "num_train_epochs", "epochs_to_train", kind: .number, value: 1.5,
            lands: ["training.epochs": "1.5"], refused: [0]),
        Self("max_steps", kind: .whole, value: 3, lands: ["training.maxSteps": "3"]),
        Self(
            "optim", kind: .text, value: "paged_adamw_8bit",
            lands: ["training.optimizer": "adamW8bit"], refused: ["lion"]),
        Self(
            "adam_beta1", kind: .number, value: 0.5,
            lands: ["training.hyperparameters.beta1": "0.5"], refused: [1]),
        Self(
            "adam_beta2", kind: .number, value: 0.5,
            lands: ["training.hyperparameters.beta2": "0.5"], refused: [1]),
        Self(
            "adam_epsilon", kind: .number, value: 0.5,
            lands: ["training.hyperparameters.epsilon": "0.5"]),
        Self(
            "weight_decay", kind: .number, value: 0.5,
            lands: ["training.hyperparameters.weightDecay": "0.5"]),
        Self(
            "max_grad_norm", kind: .number, value: 0.5, lands: ["training.maxGradientNorm": "0.5"]),
        Self(
            "loss_type", kind: .text, value: "dft", lands: ["training.loss": "dft"],
            refused: ["mse"]),
        Self(
            "gradient_checkpointing", "activation_checkpointing", kind: .flag, value: false,
            lands: ["checkpointing": "none"], refused: ["some"]),
        Self(
            "max_memory", kind: .other(["much", "1.5", "GB", 2.5, true, 0, -7, [1], ["a": 1]]),
            value: "1.5 GB", lands: ["maximumMemory": "1500000000"]),
        Self(
            "seed", kind: .whole, value: 3, lands: ["training.seed": "3", "data.seed": "3"]),
        Self("data_seed", kind: .whole, value: 3, lands: ["training.dataSeed": "3"]),
        Self(
            "train_sampling_strategy", kind: .text, value: "sequential",
            lands: ["training.sampling": "sequential"], refused: ["sorted"]),
    ]

    private static let schedule = [
        Self(
            "learning_rate", kind: .number, value: "2e-3", lands: ["training.learningRate": "0.002"]
        ),
        Self(
            "lr_scheduler_type", kind: .text, value: "cosine_with_min_lr",
            lands: ["training.schedule": "cosineWithMinLR"], refused: ["zigzag"]),
        Self("warmup_steps", kind: .number, value: 7, lands: ["training.warmup": "7.0"]),
        Self(
            "warmup_ratio", kind: .number, value: 0.1, lands: ["training.warmup": "0.1"],
            refused: [1]),
        Self(
            "lr_scheduler_kwargs", kind: .mapping, value: ["num_cycles": 2],
            lands: ["training.cosineCycles": "2.0"]),
        Self(
            "lr_scheduler_kwargs.num_cycles", kind: .number, value: 2,
            lands: ["training.cosineCycles": "2.0"]),
        Self(
            "lr_scheduler_kwargs.min_lr_rate", kind: .number, value: 0.1,
            lands: ["training.minimumRateShare": "0.1"]),
        Self(
            "lr_scheduler_kwargs.min_lr", kind: .number, value: 0.5,
            lands: ["training.minimumRateShare": "0.25"], beside: ["learning_rate": 2]),
    ]

    private static let output = [
        Self("logging_steps", kind: .whole, value: 3, lands: ["training.loggingSteps": "3"]),
        Self(
            "save_total_limit", kind: .whole, value: 3, lands: ["training.saveTotalLimit": "3"]),
        Self(
            "eval_tasks", kind: .other([3, true, [1], ["a", 1], ["a": 1], []]), value: ["q", "r"],
            lands: ["taskEvaluation.tasks": "[\"q\", \"r\"]"]),
        Self(
            "eval_tasks_method", kind: .text, value: "loglikelihood",
            lands: ["taskEvaluation.method": "loglikelihood"], refused: ["guess"]),
        Self(
            "eval_tasks_limit", kind: .whole, value: 3, lands: ["taskEvaluation.limit": "3"]),
        Self(
            "eval_tasks_max_new_tokens", kind: .whole, value: 3,
            lands: ["taskEvaluation.maxNewTokens": "3"]),
        Self(
            "eval_tasks_thinking_budget", kind: .whole, value: 3,
            lands: ["taskEvaluation.thinkingBudget": "3"]),
        Self(
            "eval_tasks_samples", kind: .whole, value: 3, lands: ["taskEvaluation.samples": "3"],
            refused: [1025]),
        Self(
            "eval_tasks_batch_size", kind: .whole, value: 3,
            lands: ["taskEvaluation.batchSize": "3"], refused: [1025]),
        Self("eval_on_start", kind: .flag, value: true, lands: ["evaluatesOnStart": "true"]),
        Self(
            "eval_strategy", kind: .text, value: "epoch", lands: ["evaluation": "epoch"],
            refused: ["often"]),
        Self("eval_steps", kind: .whole, value: 3, lands: ["evaluation": "steps(3)"]),
        Self(
            "save_strategy", kind: .text, value: "no", lands: ["saving": "never"],
            refused: ["often"]),
        Self("save_steps", kind: .whole, value: 3, lands: ["saving": "steps(3)"]),
        // The adapter goes where the checkpoints go, unless a folder is named for it.
        Self(
            "output_dir", kind: .text, value: "o",
            lands: ["outputDirectory": "o", "adapterDirectory": "o"]),
        Self(
            "adapter_dir_prefix", kind: .text, value: "p", lands: ["adapterDirectory": "p/m"]),
        Self("resume_from_checkpoint", kind: .text, value: "c", lands: ["resumeFrom": "c"]),
        Self(
            "report_to", kind: .other([3, true, [1], ["a": 1]]), value: ["wandb", "jsonl"],
            lands: ["trackers": "[OslerTraining.Tracker.jsonl, OslerTraining.Tracker.wandb]"],
            refused: ["mlflow", ["none", "mlflow"]]),
        Self("run_name", kind: .text, value: "n", lands: ["runName": "n"]),
        Self("logging_dir", kind: .text, value: "l", lands: ["loggingDirectory": "l"]),
    ]

    /// Accepted from the Python stack, changing nothing.
    static let withoutEffect = [
        "attn_implementation", "use_cache", "dataset_num_proc", "dataloader_num_workers",
        "dataloader_pin_memory", "remove_unused_columns", "pad_token",
        "padding_free", "gradient_checkpointing_kwargs", "ddp_find_unused_parameters", "use_cpu",
        "disable_tqdm", "task_type", "use_peft", "bnb_4bit_quant_storage", "trust_remote_code",
        "logging_strategy", "overwrite_output_dir", "do_train", "do_eval",
        "group_by_length", "tf32",
    ]
    /// Options that no key sets: the job derives them.
    static let derivedOptions: Set = [
        "training.checkpointing", "training.evalSteps", "training.saveSteps", "data.threads",
        "withoutEffect",
    ]
}
