import OslerFormats
import OslerTestSupport
import OslerTraining
import Testing

@testable import OslerTracking

@Suite struct WandbReporterTests {
    private typealias Kind = WandbRecord.Kind

    private struct Record {
        let kind: Int
        let body: ArraySlice<UInt8>
        func text(_ field: Int) -> String? { ProtobufReader.first(field, in: body)?.text }
        func number(_ field: Int) -> Int? { ProtobufReader.first(field, in: body)?.integer }

        /// Name and JSON of the items in `field`; nested names with a slash between.
        func items(_ field: Int, names: [Int] = [1, 2]) -> [String: String] {
            var found: [String: String] = [:]
            for (number, value) in ProtobufReader(body) where number == field {
                guard let item = value.bytes else { continue }
                let parts = ProtobufReader(item).filter { names.contains($0.field) }
                    .compactMap(\.value.text)
                found[parts.joined(separator: ".")] = ProtobufReader.first(16, in: item)?.text
            }
            return found
        }
    }

    private func records(_ folder: String, _ id: String) throws -> [Record] {
        try WandbLog.records(FileSystem.read(folder + "/run-\(id).wandb")).enumerated()
            .map { place, bytes in
                #expect(ProtobufReader.first(1, in: bytes[...])?.integer == place + 1)
                let info = try #require(ProtobufReader.first(200, in: bytes[...])?.bytes)
                #expect(ProtobufReader.first(1, in: info)?.text == id)
                let content = try #require(
                    ProtobufReader(bytes[...]).first { (2..<100).contains($0.field) })
                return Record(kind: content.field, body: try #require(content.value.bytes))
            }
    }

    private func settings() throws -> WandbSettings {
        let values = [
            "WANDB_PROJECT": "p", "WANDB_ENTITY": "team", "WANDB_RUN_GROUP": "g",
            "WANDB_TAGS": "sft, lora,", "WANDB_NOTES": "n", "WANDB_RUN_ID": "abc12345",
        ]
        return try WandbSettings { values[$0] }
    }

    private let clock = { WallClock(seconds: 1_795_330_357, nanoseconds: 250_000_000) }

    @Test func `a run has the records of the client's own`() throws {
        let place = try TemporaryFolder()
        let reporter = WandbReporter(ToldRun.description(place.path), try settings(), clock: clock)
        try reporter.receive(.printed("before the start"))
        try ToldRun().tell(reporter)
        let folder = try #require(reporter.folder)
        #expect(folder.hasPrefix(place.path + "/wandb/offline-run-2026"))
        #expect(folder.hasSuffix("-abc12345") && reporter.folders == [folder])
        let records = try records(folder, "abc12345")
        #expect(records.first?.kind == Kind.header.rawValue)
        #expect(records.last?.kind == Kind.exit.rawValue)
        let run = try #require(records.first { $0.kind == Kind.run.rawValue })
        let texts = [1, 2, 3, 6, 7, 8, 9].map(run.text)
        #expect(texts == ["abc12345", "team", "p", "g", "train", "a run", "n"])
        #expect(
            ProtobufReader(run.body).filter { $0.field == 10 }.map(\.value.text) == ["sft", "lora"])
        #expect(run.number(24) == nil)
        let configuration = Record(
            kind: 0, body: try #require(ProtobufReader.first(4, in: run.body)?.bytes)
        ).items(1)
        #expect(configuration["learning_rate"] == "0.0001" && configuration["note"] == "null")
        #expect(configuration["list"] == "[1,\"é\"]" && configuration["_wandb"] == "{}")
        #expect(configuration["total_steps"] == "4" && configuration["osler_version"] == "\"9\"")
        let metrics = records.filter { $0.kind == Kind.metric.rawValue }
        #expect(metrics.map { $0.text(1) ?? $0.text(2) } == ["train/global_step", "*"])
        #expect(metrics.last?.text(4) == "train/global_step")
        let lines = records.filter { $0.kind == Kind.outputRaw.rawValue }.map { $0.text(3) }
        #expect(lines == ["before the start\n"])
        #expect(records.contains { $0.kind == Kind.stats.rawValue })
    }

    @Test func `history has transformers' names, and the summary the last values`() throws {
        let place = try TemporaryFolder()
        let reporter = WandbReporter(ToldRun.description(place.path), try settings(), clock: clock)
        try ToldRun().tell(reporter)
        let folder = try #require(reporter.folder)
        let records = try records(folder, "abc12345")
        let rows = records.filter { $0.kind == Kind.history.rawValue }.map { $0.items(1) }
        #expect(rows.count == 7 && rows.map { $0["_step"] } == (0..<7).map { "\($0)" })
        let kinds = rows.map {
            $0["eval/loss"] != nil ? "eval" : $0["train/loss"] != nil ? "train" : ""
        }
        #expect(kinds == ["train", "train", "eval", "train", "train", "eval", ""])
        #expect(rows[2]["train/global_step"] == "2" && rows[2]["eval/nll"] == "2.0")
        #expect(rows[2]["train/epoch"] == "0.5" && rows[2]["perf/tokens_per_second"] == nil)
        #expect(
            rows[1]["perf/tokens_per_second"] == "200.0" && rows[1]["perf/resident_mib"] == "3.0")
        #expect(rows[0]["train/loss"] == "3.0" && rows[0]["_timestamp"] == "1795330357.25")
        #expect(rows[0]["train/step"] == nil)
        let summary = try JSON.parse(file: folder + "/files/wandb-summary.json")
        #expect(summary["train_runtime"] == 2.5 && summary["train/loss"] == 0.75)
        #expect(summary["train/global_step"] == 4 && summary["train/train_runtime"] == nil)
        let updates = records.filter { $0.kind == Kind.summary.rawValue }.map { $0.items(1) }
        #expect(updates.contains { $0["train_loss"] == "1.5" })
        #expect(updates.allSatisfy { $0["_wandb.runtime"] == "0" })
        #expect(
            try FileSystem.readText(folder + "/files/config.yaml").contains(
                "\"list\":\n    value: [1,\"é\"]"))
    }

    @Test func `a resumed run goes on with the same id and repeats nothing`() throws {
        let place = try TemporaryFolder()
        var settings = try settings()
        settings.runID = nil
        let first = WandbReporter(ToldRun.description(place.path), settings, clock: clock)
        // Killed after step 6; the last checkpoint was at step 4.
        try ToldRun(steps: 6, totalSteps: 8, exitCode: nil).tell(first)
        let second = WandbReporter(ToldRun.description(place.path), settings, clock: clock)
        try ToldRun(firstStep: 4, steps: 4, totalSteps: 8, exitCode: 7).tell(second)
        let folders = second.folders
        #expect(folders.count == 2 && folders == [first.folder, second.folder])
        let id = String(try #require(folders.first).suffix(8))
        #expect(id.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber) })
        var steps: [String] = []
        for folder in folders {
            let records = try records(folder, id)
            let rows = records.filter { $0.kind == Kind.history.rawValue }.map { $0.items(1) }
            steps += rows.map {
                "\($0["_step"] ?? ""):\($0["train/global_step"] ?? "")\($0["eval/loss"] == nil ? "" : "e")"
            }
        }
        #expect(
            steps == [
                "0:1", "1:2", "2:2e", "3:3", "4:4", "5:4e", "6:5", "7:6", "8:6e", "9:7", "10:8",
                "11:8e",
            ])
        let records = try records(folders[1], id)
        let run = try #require(records.first { $0.kind == Kind.run.rawValue })
        #expect(run.number(24) == 1 && run.number(14) == 9)
        #expect(records.last.flatMap { $0.number(1) } == 7)
    }

    @Test func `each variable of the environment is heard`() throws {
        func settings(_ values: [String: String]) throws -> WandbSettings {
            try WandbSettings { values[$0] }
        }
        #expect(try settings([:]) == WandbSettings() && WandbSettings().mode == .offline)
        #expect(try settings(["WANDB_MODE": "online"]).mode == .online)
        #expect(try settings(["WANDB_MODE": "dryrun"]).mode == .offline)
        #expect(try settings(["WANDB_MODE": "disabled"]).mode == .disabled)
        #expect(try settings(["WANDB_MODE": "online", "WANDB_DISABLED": "True"]).mode == .disabled)
        #expect(try settings(["WANDB_DISABLED": "false"]).mode == .offline)
        #expect(try settings(["WANDB_NAME": "n", "WANDB_DIR": "d"]).name == "n")
        #expect(try settings(["WANDB_DIR": "d"]).directory == "d")
        #expect(try settings(["WANDB_TAGS": " a b , c,,"]).tags == ["a b", "c"])
        for bad in [["WANDB_MODE": "loud"], ["WANDB_RUN_ID": "../x"], ["WANDB_RUN_ID": ".."]] {
            let error = #expect(throws: InputError.self) { try settings(bad) }
            #expect(error?.field == bad.keys.first)
        }
    }

    @Test func `WANDB_DIR says where, and a name in use is not taken`() throws {
        let place = try TemporaryFolder()
        var settings = try settings()
        settings.directory = place.path + "/elsewhere"
        for _ in 0..<2 {
            try ToldRun().tell(
                WandbReporter(ToldRun.description(place.path), settings, clock: clock))
        }
        let folders = try FileSystem.list(place.path + "/elsewhere/wandb")
        #expect(folders.count == 2 && !FileSystem.exists(place.path + "/wandb"))
    }
}
