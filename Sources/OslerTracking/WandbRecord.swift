internal import OslerFormats

/// The messages of wandb's protocol that a run is made of; each function gives the body of a `Record`. Field numbers are
/// those of `wandb_internal.proto` and `wandb_base.proto` (wandb 0.31).
enum WandbRecord {
    /// Fields of `Record` that hold its content.
    enum Kind: Int {
        case history = 2
        case summary = 3
        case config = 5
        case stats = 7
        case metric = 12
        case outputRaw = 13
        case run = 17
        case exit = 18
        case header = 21
        case environment = 26
    }

    /// A whole record.
    static func record(
        _ number: Int, _ kind: Kind, stream: String, _ body: (inout ProtobufWriter) -> Void
    ) -> [UInt8] {
        var record = ProtobufWriter()
        record.integer(1, number)
        record.message(kind.rawValue, body)
        record.message(200) { $0.text(1, stream) }
        return record.bytes
    }

    static func header(version: String) -> (inout ProtobufWriter) -> Void {
        { header in
            header.message(1) { versions in
                versions.text(1, version)
                // The oldest client that reads this.
                versions.text(2, "0.70.0")
            }
        }
    }

    /// A key's value, or that of a key inside another one, as JSON.
    static func item(_ path: [String], _ value: JSON) -> (inout ProtobufWriter) -> Void {
        { item in
            if path.count == 1 {
                item.text(1, path[0])
            } else {
                for key in path { item.element(2, key) }
            }
            item.text(16, json(value))
        }
    }

    static func json(_ value: JSON) -> String {
        value.serialized(ensureASCII: false, separators: (",", ":"))
    }

    static func timestamp(_ time: WallClock) -> (inout ProtobufWriter) -> Void {
        { message in
            message.integer(1, time.seconds)
            message.integer(2, time.nanoseconds)
        }
    }

    static func run(
        id: String, settings: WandbSettings, name: String?, configuration: JSON.Object,
        start: WallClock, resumes: Bool, startingStep: Int
    ) -> (inout ProtobufWriter) -> Void {
        { run in
            run.text(1, id)
            run.text(2, settings.entity)
            run.text(3, settings.project)
            run.message(4) { config in
                config.message(1, item(["_wandb"], .object([:])))
                for (key, value) in configuration.pairs { config.message(1, item([key], value)) }
            }
            run.text(6, settings.group)
            run.text(7, settings.jobType)
            run.text(8, name ?? "")
            run.text(9, settings.notes)
            for tag in settings.tags { run.element(10, tag) }
            run.text(13, hostName)
            run.integer(14, startingStep)
            run.message(17, timestamp(start))
            run.bool(24, resumes)
        }
    }

    static func environment(
        _ run: TrackedRun, start: WallClock
    ) -> (inout ProtobufWriter) -> Void {
        { environment in
            #if os(Linux)
                environment.text(1, "Linux")
            #else
                environment.text(1, "macOS")
            #endif
            environment.message(3, timestamp(start))
            for argument in run.arguments { environment.element(5, argument) }
            environment.text(6, run.program)
            environment.text(12, hostName)
            environment.integer(16, SystemStatistics.processorCount)
            environment.integer(17, SystemStatistics.processorCount)
            if let memory = SystemStatistics.memoryBytes {
                environment.message(21) { $0.integer(1, Int(memory)) }
            }
            environment.text(199, "osler")
        }
    }

    /// A metric that is a step of its own.
    static func stepMetric(_ name: String) -> (inout ProtobufWriter) -> Void {
        { metric in
            metric.text(1, name)
            metric.message(6) { $0.bool(3, true) }
        }
    }

    /// All metrics that match `pattern` are drawn over `step`.
    static func metrics(_ pattern: String, over step: String) -> (inout ProtobufWriter) -> Void {
        { metric in
            metric.text(2, pattern)
            metric.text(4, step)
            metric.message(6) { options in
                options.bool(1, true)
                options.bool(3, true)
            }
        }
    }

    static func history(
        _ row: [(name: String, value: JSON)], step: Int
    ) -> (inout ProtobufWriter) -> Void {
        { history in
            for (name, value) in row {
                history.message(1) { item in
                    item.element(2, name)
                    item.text(16, json(value))
                }
            }
            history.message(2) { $0.integer(1, step) }
        }
    }

    static func summary(
        _ values: [(name: String, value: JSON)], runtime: Double
    ) -> (inout ProtobufWriter) -> Void {
        { summary in
            for (name, value) in values { summary.message(1, item([name], value)) }
            summary.message(1, item(["_wandb", "runtime"], .integer(Int(runtime))))
        }
    }

    static func statistics(
        _ values: [(name: String, value: Double)], time: WallClock
    ) -> (inout ProtobufWriter) -> Void {
        { statistics in
            statistics.message(2, timestamp(time))
            for (name, value) in values {
                statistics.message(3) { item in
                    item.text(1, name)
                    item.text(16, json(.number(value)))
                }
            }
        }
    }

    static func output(_ line: String, time: WallClock) -> (inout ProtobufWriter) -> Void {
        { output in
            let standardOutput = 1
            output.integer(1, standardOutput)
            output.message(2, timestamp(time))
            output.text(3, line + "\n")
        }
    }

    static func exit(code: Int, runtime: Double) -> (inout ProtobufWriter) -> Void {
        { exit in
            exit.integer(1, code)
            exit.integer(2, Int(runtime))
        }
    }

    /// `config.yaml` as wandb lays it out. JSON is YAML.
    static func configurationFile(_ configuration: JSON.Object) -> String {
        configuration.pairs.map { key, value in
            "\(json(.string(key))):\n    value: \(json(value))\n"
        }.joined()
    }
}
