internal import OslerFormats

/// Who can be told about a run. The console and `metrics.jsonl` are always told.
package enum Tracker: String, Sendable, CaseIterable {
    case console, jsonl, tensorboard, wandb
}

extension SFTConfiguration {
    /// `report_to` (a name, a list of names, `none` or `all`), `run_name` and `logging_dir`.
    mutating func readTracking(_ reader: inout ConfigurationReader) throws {
        runName = try reader.string("run_name")
        loggingDirectory = try reader.string("logging_dir")
        let names: [JSON]
        switch try reader.value("report_to") {
        case nil: return
        case .string(let name)?: names = [.string(name)]
        case .array(let list)?: names = list
        default: throw reader.error("report_to", "neither a name nor a list of names")
        }
        let wanted = try names.flatMap { name -> [Tracker] in
            switch name.string ?? "" {
            case "none": return []
            case "all": return Tracker.allCases
            case let text:
                guard let tracker = Tracker(rawValue: text) else {
                    throw reader.error(
                        "report_to", "\(name.serialized(ensureASCII: false)) is not available",
                        remedy: "use none, all, or some of "
                            + Tracker.allCases.map(\.rawValue).joined(separator: ", "))
                }
                return [tracker]
            }
        }
        trackers = Tracker.allCases.filter(wanted.contains)
    }
}
