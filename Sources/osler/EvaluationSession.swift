internal import OslerData
internal import OslerEvaluation
internal import OslerFormats
internal import OslerInference
internal import OslerModels
internal import OslerTokenizers
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// An evaluation as `osler evaluate` and the end of `osler train` do it.
struct EvaluationSession {
    let run: EvaluationRun
    let chat: ChatContext
    let stopTokens: Set<Int32>
    let console: Console
    let shouldStop: () -> Bool

    typealias Logs = [(side: EvaluationRun.Side, log: OutputLog)]

    /// Where names of tasks are looked for.
    static var taskFolders: [String] {
        ["", "evaluation"] + (getenv("OSLER_TASKS").map { [String(cString: $0)] } ?? [])
    }

    /// Greedy unless something asks for draws; several samples need them.
    static func sampling(
        _ arguments: SamplingArguments, samples: Int, _ files: ModelFiles
    ) throws -> SamplingOptions {
        let isAsked =
            arguments.temperature != nil || arguments.topP != nil || arguments.topK != nil
        var options = SamplingOptions.greedy
        options.seed = arguments.seed
        guard samples > 1 || isAsked else { return options }
        options = try arguments.options(for: files)
        if options.temperature == 0 { options.temperature = 0.7 }
        return options
    }

    /// What tells a model and its adapter from others: paths, sizes, and a hash of the adapter.
    static func identity(
        _ files: ModelFiles, adapter: String?, dtype: String, quantizes: Bool
    ) throws -> JSON {
        var object: JSON.Object = ["path": .string(files.path), "dtype": .string(dtype)]
        object["load_in_4bit"] = .bool(quantizes)
        let names = FileSystem.isDirectory(files.path) ? try FileSystem.list(files.path) : []
        let weights = names.filter { $0.hasSuffix(".safetensors") }.map {
            FileSystem.join(files.path, $0)
        }
        let bytes = (weights.isEmpty ? [files.path] : weights).compactMap(FileSystem.size)
        object["weight_bytes"] = .integer(bytes.reduce(0, +))
        object["adapter"] = adapter.map { .string($0) } ?? .null
        if let adapter {
            var hash = StableHash()
            for name in try FileSystem.list(adapter) where name.hasPrefix("adapter_") {
                for byte in try FileSystem.read(FileSystem.join(adapter, name)) {
                    hash.add(UInt64(byte))
                }
            }
            object["adapter_hash"] = .string(hash.description)
        }
        return .object(object)
    }

    func openLogs(
        _ sides: [EvaluationRun.Side], identity: JSON, restarts: Bool
    ) throws -> Logs {
        try sides.map { side in
            var own = identity.object ?? JSON.Object()
            // The base's outputs serve every adapter.
            if side == .base {
                own["adapter"] = nil
                own["adapter_hash"] = nil
            }
            return (
                side,
                try run.log(
                    side, model: .object(own), template: chat.template?.source,
                    restarts: restarts)
            )
        }
    }

    /// - Returns: false when stopped.
    func answer(_ model: CausalLM, _ logs: Logs) throws -> Bool {
        let items = run.tasks.flatMap(\.items)
        let evaluator = ModelEvaluator(
            model, chat: chat, stop: stopTokens, settings: run.settings)
        evaluator.shouldStop = shouldStop
        defer { console.endProgress() }
        for (side, log) in logs {
            evaluator.onProgress = { progress in
                let left = progress.secondsLeft.map { "  \($0.clock) left" } ?? ""
                console.progress(
                    "\(side.rawValue) \(progress.done)/\(progress.total)  \(progress.tokensPerSecond.fixed(1)) tok/s\(left)"
                )
            }
            guard try evaluator.run(items, usesAdapters: side == .tuned, log: log) else {
                return false
            }
        }
        return true
    }

    func finish(
        _ logs: Logs, training: [JSON.Object]?, header: JSON.Object
    ) throws -> [TaskComparison] {
        func log(_ side: EvaluationRun.Side) -> OutputLog? {
            logs.first { $0.side == side }?.log
        }
        return try run.finish(
            base: log(.base), tuned: log(.tuned), training: training, header: header)
    }
}
