internal import OslerFormats

/// `README.md` of an adapter folder: a model card as the Hugging Face Hub shows it, with the figures of the run.
package struct ModelCard: Sendable {
    package static let fileName = "README.md"
    /// Stands in each card, so that one which somebody wrote is never replaced.
    static let mark =
        "<!-- written by osler; edit or remove this line to keep osler from replacing the card -->"
    private let report: Report

    package init(_ run: RunFiles) { report = Report(run) }

    /// Writes the card into the adapter's folder.
    ///
    /// - Returns: false where somebody else's card stands there, which is kept.
    package func write(into folder: String) throws -> Bool {
        let path = FileSystem.join(folder, Self.fileName)
        if FileSystem.exists(path) {
            let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
            guard text.contains(Self.mark) else { return false }
        }
        try AtomicFile.write(text, to: path)
        return true
    }

    package var text: String {
        [frontMatter, Self.mark, "", body].joined(separator: "\n")
    }

    private var record: JSON { report.record }
    private var base: String { record["base_model"]?["path"]?.string ?? "" }
    private var hubName: String? {
        (record["base_model"]?["hub_id"]?.string).flatMap(Self.hubID) ?? Self.hubID(base)
    }
    private var dataNames: [String] {
        (record["data"]?.array ?? []).compactMap { $0["path"]?.string }
    }

    // MARK: Front matter

    private var frontMatter: String {
        var lines = ["---"]
        if let id = hubName {
            lines.append("base_model: " + Self.quoted(id))
        } else {
            lines.append("# base_model: ORGANISATION/NAME of the base model on the Hub")
        }
        lines += ["library_name: peft", "pipeline_tag: text-generation", "tags:"]
        lines += tags.map { "- " + Self.quoted($0) }
        let named = (record["datasets"]?.array ?? []).compactMap(\.string) + dataNames
        var datasets: [String] = []
        for id in named.compactMap(Self.hubID) where !datasets.contains(id) { datasets.append(id) }
        if datasets.isEmpty {
            lines.append("# datasets: [ORGANISATION/NAME], where the data is on the Hub")
        } else {
            lines.append("datasets:")
            lines += datasets.map { "- " + Self.quoted($0) }
        }
        return (lines + ["---"]).joined(separator: "\n")
    }

    private var tags: [String] {
        var tags = ["lora", "sft", "osler"]
        if record["configuration"]?["load_in_4bit"]?.bool == true { tags.append("qlora") }
        return tags
    }

    /// `organisation/name`; nil for what is a path of this machine.
    static func hubID(_ name: String) -> String? {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = { (part: Substring) in
            !part.isEmpty && !part.hasPrefix(".")
                && part.allSatisfy {
                    $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))
                }
        }
        let files = [".gguf", ".json", ".jsonl", ".gz", ".parquet", ".safetensors"]
        guard parts.count == 2, parts.allSatisfy(isPlain), !FileSystem.exists(name),
            !files.contains(where: name.lowercased().hasSuffix)
        else { return nil }
        return name
    }

    /// As JSON, which is YAML.
    private static func quoted(_ text: String) -> String {
        let isPlain = text.allSatisfy { $0.isASCII && ($0.isLetter || "-_/".contains($0)) }
        return isPlain ? text : JSON.string(text).serialized(ensureASCII: false)
    }

    // MARK: Text

    private var body: String {
        [title, use, limits, training, results, howTo].filter { !$0.isEmpty }
            .joined(separator: "\n\n") + "\n"
    }

    /// Text of the run's files in Markdown: one line, nothing that marks up.
    static func plain(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "\\", "`", "*", "_", "[", "]", "|", "#":
                result += "\\"
                result.unicodeScalars.append(scalar)
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private func name(_ path: String) -> String {
        Self.plain(Self.hubID(path) ?? FileSystem.name(of: path))
    }

    private var title: String {
        let data = dataNames.map(name).joined(separator: ", ")
        let subject = base.isEmpty ? "a language model" : name(base)
        return """
            # \(Self.plain(report.title)): a LoRA adapter

            A LoRA adapter for \(subject)\(data.isEmpty ? "" : ", fine-tuned on \(data)") with \
            [PEFT](https://github.com/huggingface/peft)'s file format, trained with osler\(record["osler"]?.string.map { " " + Self.plain($0) } ?? "").
            """
    }

    private var use: String {
        """
        ## Intended use

        Research and teaching: how a language model reasons on the kind of records that it was trained on, and how \
        fine-tuning changes that. Answers are meant to be read by people who can judge them.
        """
    }

    private var limits: String {
        """
        ## Limits

        - **Not a medical device, and not for the care of patients.** Where the training data is medical, the model still \
        gives wrong answers in the same confident words as right ones. Its reasoning reads well and may not be why it answers.
        - It was measured on the data below and nothing else: not on other hospitals, languages, years or groups of patients, \
        and not for bias between them.
        - It keeps the base model's faults and licence, and learns those of its data: what is rare or missing there it knows \
        less about than it seems.
        - A fine-tuned model can repeat texts that it was trained on. Before sharing an adapter that was trained on private \
        records, make sure that you may.
        """
    }

    private var training: String {
        var rows: [(String, String?)] = []
        func add(_ name: String, _ value: String?) { rows.append((name, value)) }
        let recipe = record["configuration"]
        let adapter = record["adapter"]
        add("training rows", record["train_rows"]?.integer.map(Figures.count))
        add("steps", report.run.log.last?["step"]?.integer.map(Figures.count))
        add(
            "rank, alpha",
            adapter.flatMap { adapter in
                guard let rank = adapter["r"]?.integer, let alpha = adapter["lora_alpha"]?.double
                else {
                    return nil
                }
                return "\(rank), \(Figures.setting(alpha))"
            })
        add(
            "modules",
            adapter?["target_modules"]?.array?.compactMap(\.string).joined(separator: ", "))
        add("quantization of the base", record["quantization"]?.string)
        for key in [
            "learning_rate", "lr_scheduler_type", "loss_type", "optim",
            "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs",
            "max_length",
        ] {
            add(key, recipe?[key].flatMap { $0.string ?? $0.serialized() })
        }
        add("seed", record["seed"]?.integer.map(String.init))
        for file in record["data"]?.array ?? [] {
            add(
                "sha256 of \(FileSystem.name(of: file["path"]?.string ?? ""))",
                file["sha256"]?.string)
        }
        let lines = rows.compactMap { name, value in
            value.map { "| \(Self.plain(name)) | \(Self.plain($0)) |" }
        }
        guard !lines.isEmpty else { return "" }
        return "## Training\n\n| | |\n| --- | --- |\n" + lines.joined(separator: "\n")
    }

    private var results: String {
        var parts: [String] = []
        if let nll = report.evaluationLog.last?["eval_nll"]?.double {
            let before =
                record["evaluation_before"]?["eval_nll"]?.double
                .map { " (before training \(Figures.fixed($0, 4)))" } ?? ""
            parts.append(
                "Negative log-likelihood a token on held-out rows: \(Figures.fixed(nll, 4))\(before)."
            )
        }
        let tasks = report.run.comparison?["tasks"]?.array ?? []
        if !tasks.isEmpty {
            let lines = tasks.map { task -> String in
                func accuracy(_ side: String) -> String {
                    guard let side = task[side], let accuracy = side["accuracy"]?.double else {
                        return ""
                    }
                    guard let low = side["low"]?.double, let high = side["high"]?.double else {
                        return Figures.percent(accuracy)
                    }
                    return
                        "\(Figures.percent(accuracy)) (\(Figures.fixed(low * 100, 1))–\(Figures.fixed(high * 100, 1)))"
                }
                let cells = [
                    Self.plain(task["name"]?.string ?? ""),
                    task["count"]?.integer.map(Figures.count) ?? "", accuracy("base"),
                    accuracy("tuned"), task["difference"]?.double.map(Figures.points) ?? "",
                    task["mcnemar_p"]?.double.map { Figures.fixed($0, 4) } ?? "",
                ]
                return "| " + cells.joined(separator: " | ") + " |"
            }
            parts.append(
                """
                | task | questions | base, 95 % interval | tuned, 95 % interval | difference, points | McNemar p |
                | --- | --- | --- | --- | --- | --- |
                \(lines.joined(separator: "\n"))
                """)
        }
        return parts.isEmpty ? "" : "## Results\n\n" + parts.joined(separator: "\n\n")
    }

    private var howTo: String {
        let id = hubName ?? "BASE_MODEL"
        return """
            ## How to use it

            ```python
            from peft import PeftModel
            from transformers import AutoModelForCausalLM, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained("\(id)")
            model = AutoModelForCausalLM.from_pretrained("\(id)", dtype="auto")
            model = PeftModel.from_pretrained(model, "PATH_OF_THIS_FOLDER")
            ```
            """
    }
}
