import OslerFormats
import OslerTraining
import Testing

/// Numbers in a training configuration that no run can have.
@Suite struct `Hostile configurations` {
    private func refusal(_ key: String, _ value: JSON, _ more: JSON.Object = [:]) -> InputError? {
        var object: JSON.Object = ["base_model_name": "model", "dataset_name": "rows.jsonl"]
        for (key, value) in more.pairs { object[key] = value }
        let parts = key.split(separator: ".").map(String.init)
        object[parts[0]] = parts.count == 2 ? .object(.init([(parts[1], value)])) : value
        do {
            _ = try SFTConfiguration(object, file: "run.yaml")
            return nil
        } catch {
            return error as? InputError
        }
    }

    private func refuses(_ key: String, _ value: JSON, _ more: JSON.Object = [:]) {
        let error = refusal(key, value, more)
        #expect(error?.file == "run.yaml" && error?.field == key, "\(error?.description ?? "none")")
    }

    @Test(
        arguments: [
            "per_device_train_batch_size", "per_device_eval_batch_size",
            "gradient_accumulation_steps", "logging_steps", "save_steps", "eval_steps",
            "save_total_limit", "max_length", "r", "threads", "rank_pattern.q_proj",
        ],
        [
            0, -1, 1.5, .integer(1 << 31), .integer(.max), .number(.nan), .number(.infinity),
            "many", true, [],
        ] as [JSON])
    func `counts are whole numbers from 1`(key: String, value: JSON) {
        refuses(key, value)
    }

    @Test(
        arguments: [
            "learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "warmup_ratio",
            "num_train_epochs", "adam_beta1", "adam_beta2", "adam_epsilon", "lora_alpha",
            "lora_dropout", "split.train", "split.eval", "split.test",
            "alpha_pattern.q_proj", "lr_scheduler_kwargs.num_cycles",
            "lr_scheduler_kwargs.min_lr", "lr_scheduler_kwargs.min_lr_rate",
        ],
        [-1, .number(.nan), .number(.infinity), 1e300, "nan", "1e400", "much", true, []] as [JSON])
    func `numbers are finite and not negative`(key: String, value: JSON) {
        refuses(key, value)
    }

    @Test(
        arguments: [
            ("max_steps", -2), ("max_steps", .integer(1 << 31)), ("max_steps", "all"), ("seed", -1),
            ("data_seed", -1), ("split.seed", -1), ("warmup_ratio", 1), ("lora_dropout", 1),
            ("lora_dropout", 0.999999999), ("adam_beta1", 1), ("adam_beta2", 0.999999999),
            ("adam_epsilon", 0), ("adam_epsilon", 1e-300), ("lora_alpha", 0), ("r", 65537),
            ("num_train_epochs", 0), ("num_train_epochs", 1e7),
            ("alpha_pattern.q_proj", 0), ("lr_scheduler_kwargs.min_lr_rate", 1.5),
            ("lr_scheduler_kwargs.min_lr", 1),
        ] as [(String, JSON)])
    func `each number has its range`(key: String, value: JSON) {
        refuses(key, value)
    }

    @Test(
        arguments: [
            ("learning_rate", 0), ("learning_rate", "2e-5"), ("lora_dropout", 0.999),
            ("adam_beta2", 0.9999), ("num_train_epochs", 0.5), ("max_steps", -1), ("r", 65536),
            ("lr_scheduler_kwargs.min_lr_rate", 1), ("lr_scheduler_kwargs.min_lr", 1e-6),
        ] as [(String, JSON)])
    func `ordinary numbers are taken`(key: String, value: JSON) {
        #expect(refusal(key, value) == nil)
    }

    @Test(arguments: [
        (0, 1.0, 1, "dataset_name"), (10, 1, 1_000_001, "max_steps"),
        (10, 1e6, -1, "num_train_epochs"),
    ]) func `a run has a number of steps that ends`(
        examples: Int, epochs: Double, maxSteps: Int, field: String
    ) {
        let error = #expect(throws: InputError.self) {
            try StepPlan(
                examples: examples, batchSize: 2, accumulation: 1, epochs: epochs,
                maxSteps: maxSteps)
        }
        #expect(error?.field == field)
    }
}
