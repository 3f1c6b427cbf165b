import Foundation
import OslerFormats
import OslerTestSupport
import Testing

@testable import OslerTracking

/// `report_to` as a user meets it.
@Suite struct TrackingTests {
    private func only(_ folder: String) throws -> String {
        let names = try FileSystem.list(folder)
        try #require(names.count == 1, "\(names)")
        return folder + "/" + names[0]
    }

    private func wandbLog(_ output: String) throws -> [[UInt8]] {
        let folder = try only(output + "/wandb")
        let id = folder.split(separator: "-").last ?? ""
        return WandbLog.records(try FileSystem.read(folder + "/run-\(id).wandb"))
    }

    private func rows(_ records: [[UInt8]]) -> Int {
        records.count {
            ProtobufReader.first(WandbRecord.Kind.history.rawValue, in: $0[...]) != nil
        }
    }

    @Test func `a run that SIGKILL ends keeps what it had told`() throws {
        let place = try Workplace()
        let output = place.path + "/out"
        let run = try TerminalRun(
            ["train", place.configuration, "max_steps=100000", "report_to=all"])
        // The row of the tenth step is shown after it was written.
        try run.waitFor("11/100000")
        run.kill()
        let told = rows(try wandbLog(output))
        #expect(told >= 10)
        let metrics = try FileSystem.readText(output + "/metrics.jsonl").split(separator: "\n")
        #expect(metrics.count - told <= 1)
        let steps = try FileSystem.readText(output + "/steps.jsonl").split(separator: "\n")
        #expect(steps.count >= 10)
        let board = try FileSystem.read(only(only(output + "/runs")))
        #expect(String(decoding: board, as: UTF8.self).contains("train/loss"))
        // Nothing says that it ended.
        let exit = WandbRecord.Kind.exit.rawValue
        #expect(!(try wandbLog(output)).contains { ProtobufReader.first(exit, in: $0[...]) != nil })
    }

    @Test func `none tracks nothing, and a failure is an exit code`() throws {
        let place = try Workplace()
        for value in ["none", "[console, jsonl]"] {
            let outcome = try osler(["train", place.configuration, "report_to=\(value)"])
            try #require(outcome.code == 0, "\(outcome.errors)")
            #expect(!FileSystem.exists(place.path + "/out/wandb"))
            #expect(!FileSystem.exists(place.path + "/out/runs"))
            #expect(FileSystem.exists(place.path + "/out/metrics.jsonl"))
        }
        // The loss is not finite: the run fails in a step.
        let outcome = try osler([
            "train", place.configuration, "report_to=wandb", "learning_rate=1e30", "max_steps=20",
        ])
        #expect(outcome.code == 1)
        let last = try #require(try wandbLog(place.path + "/out").last)
        let exit = ProtobufReader.first(WandbRecord.Kind.exit.rawValue, in: last[...])?.bytes
        #expect(ProtobufReader.first(1, in: exit ?? [])?.integer == 1)
    }

    @Test func `no record reaches a tracker through what was printed`() throws {
        let place = try Workplace()
        let outcome = try osler(["train", place.configuration, "report_to=wandb"])
        #expect(outcome.output.contains("What does sign"))
        let folder = try only(place.path + "/out/wandb")
        let console = try FileSystem.readText(folder + "/files/output.log")
        #expect(console.contains("training on 8 rows") && console.contains("memory: planned"))
        for record in try wandbLog(place.path + "/out") {
            #expect(!String(decoding: record, as: UTF8.self).contains("What does sign"))
        }
    }

    @Test func `at a terminal the loss is drawn beside the pace`() throws {
        let place = try Workplace()
        let arguments = ["train", place.configuration, "max_steps=40", "logging_steps=40"]
        let wide = try TerminalRun(arguments, columns: 120, locale: "C.UTF-8")
        try wide.waitFor("tok/s")
        let line = try wide.waitFor("█")
        #expect(line.contains("left  "))
        #expect(try wide.end() == 0)
        for (columns, locale) in [(UInt16(120), "C"), (40, "C.UTF-8")] {
            let plain = try TerminalRun(arguments, columns: columns, locale: locale)
            try plain.waitFor("tok/s")
            let text = try plain.waitFor("adapter: ")
            #expect(!text.contains("█") && text.contains("step 4/40"))
            for line in text.split(separator: "\r") where line.contains("step 4/40") {
                #expect(line.replacing("\u{1B}[K", with: "").count < Int(columns))
            }
            #expect(try plain.end() == 0)
        }
    }
}
