internal import OslerFormats

/// What the `WANDB_*` variables of the environment say.
package struct WandbSettings: Sendable, Equatable {
    package enum Mode: Sendable, Equatable {
        /// Everything stays on this machine.
        case offline
        /// The finished run is handed to `wandb sync`.
        case online
        case disabled
    }
    package var mode = Mode.offline
    package var project = "osler"
    package var entity = ""
    package var name: String?
    package var runID: String?
    package var group = ""
    package var jobType = "train"
    package var tags: [String] = []
    package var notes = ""
    /// Where the `wandb` folder goes; nil: into the output folder.
    package var directory: String?

    package init() {}

    /// - Parameter environment: the value of a variable.
    package init(environment: (String) -> String?) throws {
        func value(_ name: String) -> String? {
            environment("WANDB_" + name).flatMap { $0.isEmpty ? nil : $0 }
        }
        mode = try Self.mode(value("MODE"), disabled: value("DISABLED"))
        project = value("PROJECT") ?? project
        entity = value("ENTITY") ?? ""
        name = value("NAME")
        runID = value("RUN_ID")
        group = value("RUN_GROUP") ?? ""
        jobType = value("JOB_TYPE") ?? jobType
        notes = value("NOTES") ?? ""
        directory = value("DIR")
        tags = (value("TAGS") ?? "").split(separator: ",").map { tag in
            String(tag.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }.filter { !$0.isEmpty }
        if let runID { try Self.check(runID) }
    }

    private static func mode(_ mode: String?, disabled: String?) throws -> Mode {
        if let disabled, ["true", "1", "yes", "on", "y", "t"].contains(disabled.lowercased()) {
            return .disabled
        }
        switch mode {
        case nil, "offline", "dryrun": return .offline
        case "online", "run": return .online
        case "disabled": return .disabled
        case let other?:
            throw InputError(
                "\"\(other)\" is not one of offline, online, disabled", field: "WANDB_MODE")
        }
    }

    /// An id is part of file names.
    static func check(_ id: String) throws {
        let forbidden = "/\\#?%:"
        guard id.utf8.count <= 128, !id.contains(where: forbidden.contains),
            id.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }), id != ".",
            id != ".."
        else {
            throw InputError(
                "\"\(id)\" can't be a run's id", field: "WANDB_RUN_ID",
                remedy: "use up to 128 letters and digits, none of \(forbidden)")
        }
    }

    /// 8 letters and digits, as wandb draws them.
    static func randomID() -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<8).map { _ in letters[Int.random(in: letters.indices)] })
    }
}
