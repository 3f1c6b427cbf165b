internal import OslerFormats

/// How far the records of earlier parts of a run go.
struct WandbProgress {
    /// Rows of the history.
    private(set) var rows = 0
    /// The last step with an entry of training, and of evaluation.
    private var trainStep = 0
    private var evalStep = 0

    init() {}

    /// Reads the logs of all folders of the run; what a killed one left half written counts as not there.
    init(runID: String, in parent: String) throws {
        guard FileSystem.isDirectory(parent) else { return }
        for name in try FileSystem.list(parent) where name.hasSuffix("-" + runID) {
            let path = FileSystem.join(FileSystem.join(parent, name), "run-\(runID).wandb")
            guard FileSystem.exists(path) else { continue }
            for record in WandbLog.records(try FileSystem.read(path)) { add(record) }
        }
    }

    private mutating func add(_ record: [UInt8]) {
        let kind = WandbRecord.Kind.history.rawValue
        guard let history = ProtobufReader.first(kind, in: record[...])?.bytes else { return }
        var values: [String: JSON] = [:]
        for (field, value) in ProtobufReader(history) {
            guard field == 1, let item = value.bytes,
                let name = ProtobufReader.first(2, in: item)?.text,
                let text = ProtobufReader.first(16, in: item)?.text,
                let json = try? JSON.parse(text)
            else { continue }
            values[name] = json
        }
        guard let row = values["_step"]?.integer, let step = values["train/global_step"]?.integer
        else { return }
        rows = max(rows, row + 1)
        if values["train/loss"] != nil { trainStep = max(trainStep, step) }
        if values["eval/loss"] != nil { evalStep = max(evalStep, step) }
    }

    /// Whether an entry of the log was recorded already.
    func holds(_ entry: JSON.Object, step: Int) -> Bool {
        if entry["loss"] != nil { return step <= trainStep }
        if entry["eval_loss"] != nil { return step <= evalStep }
        return false
    }
}
