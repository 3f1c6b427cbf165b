internal import ArgumentParser
internal import OslerCompute
internal import OslerData
internal import OslerFormats
internal import OslerModels
internal import OslerReport
internal import OslerTracking
internal import OslerTraining

/// Keeps `run.json` in the output folder: what was trained on what, and how it ended. The report and the model card are
/// made from it. No record of the data stands in it.
final class RunRecorder: Reporter {
    private let job: TrainingJob
    private let path: String
    /// Whose memory is recorded.
    private let backend: any Backend
    private var object: JSON.Object = [:]
    private var error: String?

    /// - Parameter recipe: the keys that were given.
    init(
        _ job: TrainingJob, _ recipe: JSON.Object, _ preflight: PreflightReport,
        _ plan: MemoryPlan, on backend: any Backend
    ) throws {
        (self.job, self.backend) = (job, backend)
        let configuration = job.configuration
        path = FileSystem.join(configuration.outputDirectory, RunFiles.recordName)
        let files = job.inputs.dataset + (job.inputs.evalDataset ?? [])
        object["format"] = 1
        object["osler"] = .string(Osler.configuration.version)
        object["name"] = configuration.runName.map(JSON.string) ?? .null
        object["status"] = "running"
        object["started"] = .string(WallClock.now.iso8601)
        object["command"] = .string(
            (["osler"] + CommandLine.arguments.dropFirst()).joined(separator: " "))
        object["configuration"] = .object(recipe)
        object["base_model"] = baseModel
        object["quantization"] = .string(quantization)
        object["data"] = .array(
            try files.filter(FileSystem.isFile).map { try Self.file($0, isHashed: true) })
        object["datasets"] = .array(
            [configuration.dataset, configuration.evalDataset].compactMap { $0 }
                .compactMap { HubName($0)?.id }.map(JSON.string))
        object["seed"] = .integer(Int(clamping: configuration.training.seed))
        object["preflight"] = Self.withoutRecords(preflight.json)
        object["memory_plan"] = plan.json
        object["machine"] = [
            "processor": .string(Machine.processor),
            "threads": .integer(configuration.threads ?? Machine.processorCount),
            "precision": .string(backend.precision.rawValue),
            "system": .string(Machine.system),
        ]
    }

    /// The sample and the proofs' findings quote records.
    private static func withoutRecords(_ json: JSON) -> JSON {
        switch json {
        case .array(let values): .array(values.map(withoutRecords))
        case .object(let object):
            .object(
                JSON.Object(
                    object.pairs.filter { !["sample", "expected", "found"].contains($0.key) }
                        .map { ($0.key, withoutRecords($0.value)) }))
        default: json
        }
    }

    private var quantization: String {
        if job.files.isPrequantized { return "4-bit checkpoint (NF4)" }
        return switch job.configuration.quantization {
        case .none: "not quantized"
        case .nf4(let double): double ? "NF4, double quantization" : "NF4"
        }
    }

    private var baseModel: JSON {
        let files = job.files
        return [
            "path": .string(job.configuration.baseModel),
            "type": files.json["model_type"] ?? "GGUF",
            "layers": .integer(files.configuration.layers),
            "parameters": .integer(files.configuration.parameterCount),
            "files": .array(baseFiles.compactMap { try? Self.file($0, isHashed: false) }),
        ]
    }

    /// The files that say what the base model is.
    private var baseFiles: [String] {
        let folder = job.files.path
        guard FileSystem.isDirectory(folder) else { return [folder] }
        let names = (try? FileSystem.list(folder)) ?? []
        return names.filter {
            $0.hasSuffix(".safetensors") || $0 == "config.json" || $0 == "tokenizer.json"
        }
        .map { FileSystem.join(folder, $0) }.filter(FileSystem.isFile)
    }

    private static func file(
        _ path: String, isHashed: Bool, progress: (Int) -> Void = { _ in }
    ) throws -> JSON {
        [
            "path": .string(path), "bytes": .integer(FileSystem.size(path) ?? 0),
            "sha256": isHashed ? .string(try SHA256.ofFile(path, progress: progress)) : .null,
        ]
    }

    // MARK: While it runs

    func receive(_ event: TrainingEvent) throws {
        switch event {
        case .started(let run):
            object["train_rows"] = .integer(run.trainRows)
            object["eval_rows"] = .integer(run.evalRows)
            if run.firstStep > 0 { object["resumed_after_step"] = .integer(run.firstStep) }
            object["adapter"] = adapter(parameters: run.trainableParameters)
            try write()
        case .finished(let summary): object["summary"] = .object(summary)
        case .ended(let code):
            object["status"] = code == 0 ? "finished" : code == 130 ? "stopped" : "failed"
            if let error { object["error"] = .string(error) }
            object["ended"] = .string(WallClock.now.iso8601)
            if object["peak_bytes"] == nil {
                object["peak_bytes"] = .integer(backend.mostHeldBytes)
            }
            if object["train_rows"] != nil { try write() }
        case .step, .logged, .evaluating, .saved, .interrupted, .printed: break
        }
    }

    func failed(_ error: any Error) { self.error = "\(error)" }

    func evaluated(before result: EvaluationResult) {
        object["evaluation_before"] = [
            "eval_loss": .number(result.loss), "eval_nll": .number(result.negativeLogLikelihood),
            "eval_perplexity": .number(result.perplexity),
        ]
    }

    /// Hashes the base model and the adapter, once the adapter is saved.
    func complete(peakBytes: Int, _ console: Console) throws {
        object["peak_bytes"] = .integer(peakBytes)
        let paths = baseFiles
        let total = paths.reduce(0) { $0 + (FileSystem.size($1) ?? 0) }
        var done = 0
        let files = try paths.map { path in
            let file = try Self.file(path, isHashed: true) {
                console.progress("Hashing the base model", done + $0, total)
            }
            done += FileSystem.size(path) ?? 0
            return file
        }
        console.endProgress()
        var base = object["base_model"]?.object ?? [:]
        base["files"] = .array(files)
        object["base_model"] = .object(base)
        var adapter = object["adapter"]?.object ?? [:]
        let folder = job.configuration.adapterDirectory
        adapter["files"] = .array(
            try [Adapter.weightsFile, Adapter.configurationFile].map { name in
                try Self.file(FileSystem.join(folder, name), isHashed: true)
            })
        object["adapter"] = .object(adapter)
    }

    private func adapter(parameters: Int) -> JSON {
        let lora = job.configuration.lora
        let targets: [String] =
            switch lora.targets {
            case .allLinear: ["all-linear"]
            case .pattern(let pattern): [pattern]
            case .names(let names): names
            }
        return [
            "folder": .string(job.configuration.adapterDirectory), "r": .integer(lora.rank),
            "lora_alpha": .number(lora.alpha), "lora_dropout": .number(lora.dropout),
            "target_modules": .array(targets.map(JSON.string)), "parameters": .integer(parameters),
        ]
    }

    private func write() throws {
        try AtomicFile.write(
            JSON.object(object).serialized(indent: 2, ensureASCII: false) + "\n", to: path)
    }

    // MARK: After it

    /// The report, and the model card beside a finished adapter. Neither can make a run fail that went well; where one
    /// failed, why is said already.
    func writeReport(_ console: Console) {
        guard object["train_rows"] != nil else { return }
        do {
            let folder = job.configuration.outputDirectory
            for line in try RunReport.write(folder) { console.write(line) }
        } catch {
            if self.error == nil { console.note("no report: \(error)") }
        }
    }
}

/// Report and model card of a run's folder.
enum RunReport {
    /// - Parameter path: of the report; nil: `report.html` in the folder.
    /// - Returns: what was written, for the console.
    static func write(_ folder: String, to path: String? = nil) throws -> [String] {
        let files = try RunFiles(reading: folder)
        let path = path ?? FileSystem.join(folder, Report.fileName)
        try AtomicFile.write(Report(files).html, to: path)
        var lines = ["report: \(path)"]
        guard files.record["status"] == "finished",
            let adapter = files.record["adapter"]?["folder"]?.string,
            FileSystem.exists(FileSystem.join(adapter, Adapter.configurationFile))
        else { return lines }
        let card = FileSystem.join(adapter, ModelCard.fileName)
        lines.append(
            try ModelCard(files).write(into: adapter)
                ? "model card: \(card)" : "model card: \(card) is not osler's and was kept")
        return lines
    }
}
