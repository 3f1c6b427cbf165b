package import OslerFormats
internal import OslerData

/// Tasks, settings and a folder: which sides are evaluated, what is kept and what is written at the end.
///
/// The folder gets `outputs.base.jsonl` and `outputs.tuned.jsonl` (every raw output, as it comes), and at the end
/// `comparison.json` and `items.jsonl`.
package struct EvaluationRun {
    package enum Side: String, Sendable {
        case base, tuned
    }

    package let tasks: [EvaluationTask]
    package let settings: EvaluationSettings
    package let folder: String

    package init(tasks: [EvaluationTask], settings: EvaluationSettings, folder: String) throws {
        (self.tasks, self.settings, self.folder) = (tasks, settings, folder)
        for (index, task) in tasks.enumerated() {
            try ModelEvaluator.check(task, settings)
            if let other = tasks[..<index].first(where: { $0.name == task.name }) {
                throw InputError(
                    "has the task name '\(task.name)' of \(other.file)", file: task.file,
                    remedy: "rename one of the files")
            }
        }
        try FileSystem.createDirectories(folder)
    }

    /// At most `limit` items of each task, spread evenly over the file.
    package static func limited(_ task: EvaluationTask, to limit: Int?) -> EvaluationTask {
        guard let limit, limit < task.items.count else { return task }
        let items = (0..<limit).map { task.items[$0 * task.items.count / limit] }
        return EvaluationTask(name: task.name, file: task.file, items: items)
    }

    /// A file, or the name of one in the working folder, `evaluation/` or `$OSLER_TASKS` without its ending.
    package static func find(_ name: String, folders: [String]) throws -> String {
        if FileSystem.isFile(name) { return name }
        for folder in folders {
            for ending in [".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz"] {
                let path = FileSystem.join(folder, name + ending)
                if FileSystem.isFile(path) { return path }
            }
        }
        let places = folders.map { $0.isEmpty ? "the working folder" : $0 }
        throw InputError(
            "is no file, and no task of this name is in \(places.joined(separator: ", "))",
            file: name, remedy: "give a .json, .jsonl or .csv file of questions")
    }

    /// The raw outputs of a side, those of an earlier run that was stopped too.
    ///
    /// - Parameter model: what tells the model and its adapter from others.
    package func log(_ side: Side, model: JSON, template: String?, restarts: Bool) throws
        -> OutputLog
    {
        var hash = StableHash()
        func add(_ text: String) {
            for byte in text.utf8 { hash.add(UInt64(byte)) }
            hash.add(256)
        }
        add(template ?? "")
        for item in tasks.flatMap(\.items) {
            for text in [item.task, item.id, item.userText, item.demonstration?.question ?? ""] {
                add(text)
            }
        }
        let identity: JSON = [
            "side": .string(side.rawValue), "model": model, "settings": settings.json,
            "items": .string(hash.description),
        ]
        return try OutputLog(
            FileSystem.join(folder, "outputs.\(side.rawValue).jsonl"), identity: identity,
            restarts: restarts)
    }

    /// Reads every raw output, and writes `comparison.json` and `items.jsonl`.
    ///
    /// - Parameter training: the rows that the tuned model was trained on.
    package func finish(
        base: OutputLog?, tuned: OutputLog?, training: [JSON.Object]?, header: JSON.Object
    ) throws -> [TaskComparison] {
        let comparisons = tasks.map { task in
            let contamination = training.map {
                Contamination(task.items, training: Contamination.texts(of: $0)).findings
            }
            let items = task.items.enumerated().map { index, item in
                GradedItem(
                    item: item, base: base.flatMap { item.result($0, settings) },
                    tuned: tuned.flatMap { item.result($0, settings) },
                    contamination: contamination?[index])
            }
            return TaskComparison(name: task.name, method: settings.method, items: items)
        }
        var object = header
        object["settings"] = settings.json
        object["tasks"] = .array(comparisons.map(\.json))
        try AtomicFile.write(
            JSON.object(object).serialized(indent: 2, ensureASCII: false) + "\n",
            to: FileSystem.join(folder, "comparison.json"))
        var items = try AtomicFile(FileSystem.join(folder, "items.jsonl"))
        for item in comparisons.flatMap(\.items) {
            try items.write(item.json.serialized(ensureASCII: false) + "\n")
        }
        try items.commit()
        return comparisons
    }
}
