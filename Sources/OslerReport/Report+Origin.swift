internal import OslerFormats

extension Report {
    /// What was trained on what.
    var origin: HTML {
        guard !run.record.isEmpty else { return "" }
        let base = record["base_model"]
        let model = [
            base?["type"]?.string,
            base?["layers"]?.integer.map { "\($0) layers" },
            base?["parameters"]?.integer.map { "\(Figures.count($0)) parameters" },
            record["quantization"]?.string,
        ].compactMap { $0 }.joined(separator: ", ")
        let files = (base?["files"]?.array ?? []).map(hashed)
        let data = (record["data"]?.array ?? []).map(hashed)
        let adapter = record["adapter"]
        let lora = [
            adapter?["r"]?.integer.map { "rank \($0)" },
            adapter?["lora_alpha"]?.double.map { "alpha \(Figures.setting($0))" },
            adapter?["lora_dropout"]?.double.map { "dropout \(Figures.setting($0))" },
            adapter?["target_modules"]?.array.map {
                "on " + $0.compactMap(\.string).joined(separator: ", ")
            },
            adapter?["parameters"]?.integer.map { "\(Figures.count($0)) trainable parameters" },
        ].compactMap { $0 }.joined(separator: ", ")
        let machine = record["machine"]
        let hardware = [
            machine?["processor"]?.string,
            machine?["threads"]?.integer.map { "\($0) \($0 == 1 ? "thread" : "threads")" },
            machine?["instructions"]?.string, machine?["precision"]?.string,
            machine?["system"]?.string,
        ].compactMap { $0 }.joined(separator: ", ")
        return section(
            "What was trained on what",
            pairs([
                ("Base model", path(base?["path"], model, files)),
                ("Data", data.isEmpty ? nil : "\(data)"),
                (
                    "Adapter",
                    lora.isEmpty
                        ? nil
                        : path(
                            adapter?["folder"], lora, (adapter?["files"]?.array ?? []).map(hashed))
                ),
                ("Rows in training", text(record["train_rows"])),
                ("Seed", text(record["seed"])),
                ("Resumed after step", text(record["resumed_after_step"])),
                ("Begun", text(record["started"])), ("Ended", text(record["ended"])),
                ("Machine", hardware.isEmpty ? nil : "\(hardware)"),
                ("Program", record["osler"]?.string.map { "osler \($0)" }),
                ("Command", record["command"]?.string.map { "<span class=\"hash\">\($0)</span>" }),
            ]))
    }

    private func path(_ path: JSON?, _ about: String, _ files: [HTML]) -> HTML? {
        guard let path = path?.string else { return about.isEmpty ? nil : "\(about)" }
        return "\(path)<div class=\"soft\">\(about)</div>\(files)"
    }

    /// A file with size and SHA-256.
    private func hashed(_ file: JSON) -> HTML {
        let name = file["path"]?.string ?? file["name"]?.string ?? ""
        let size = file["bytes"]?.double.map { ", " + Figures.bytes($0) } ?? ""
        let hash =
            file["sha256"]?.string.map { "sha256 \($0)" } ?? "not hashed: the run didn't finish"
        return
            "<div>\(name)<span class=\"soft\">\(size)</span><div class=\"hash\">\(hash)</div></div>"
    }
}
