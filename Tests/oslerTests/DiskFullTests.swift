import Foundation
import OslerFormats
import OslerTestSupport
import Testing

/// A disk that is full in the middle of a run: one line, exit code 1, and what was complete stays complete.
@Suite struct DiskFullTests {
    /// Files of a checkpoint by name.
    private func contents(_ folder: String) throws -> [String: [UInt8]] {
        Dictionary(
            uniqueKeysWithValues: try FileSystem.list(folder).map {
                ($0, try FileSystem.read(folder + "/" + $0))
            })
    }

    private func expectOneLine(_ outcome: Outcome, _ parts: String...) {
        #expect(outcome.code == 1, "\(outcome.errors)")
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
        for part in parts {
            #expect(outcome.errors.contains(part), "\(part) in: \(outcome.errors)")
        }
    }

    private static let saving = ["save_strategy=steps", "save_steps=1", "max_steps=3", "--quiet"]

    @Test(
        .enabled(
            if: SmallDisk.isAvailable,
            "mounting a small file system needs root and a right to mount"
        ))
    func `a full disk keeps the checkpoints before`() throws {
        let place = try Workplace()
        let whole = try osler(["train", place.configuration] + Self.saving)
        try #require(whole.code == 0, "\(whole.errors)")
        let checkpoint = try contents(place.path + "/out/checkpoint-1")
        let size = checkpoint.values.reduce(0) { $0 + $1.count } / 1024

        // Room for one checkpoint and a half.
        let disk = try SmallDisk(kilobytes: size * 3 / 2)
        let arguments = ["train", place.configuration, "output_dir=\(disk.path)/out"] + Self.saving
        let full = try osler(arguments)
        expectOneLine(
            full, disk.path + "/out/checkpoint-2/", "cannot be written", "No space left",
            "free some space")
        let out = disk.path + "/out"
        // The report is there where it found room, whole.
        #expect(
            try FileSystem.list(out).filter { $0 != "report.html" }
                == ["checkpoint-1", "metrics.jsonl", "run.json", "steps.jsonl"])
        #expect(try contents(out + "/checkpoint-1").keys == checkpoint.keys)
        let lines = try FileSystem.readText(out + "/metrics.jsonl").split(separator: "\n")
        #expect(try lines.map { try JSON.parse(String($0))["step"]?.integer } == [1, 2])

        // With more room the run goes on from there and ends as if nothing had been.
        try disk.grow(kilobytes: size * 8)
        let resumed = try osler(arguments + ["--resume"])
        #expect(resumed.code == 0, "\(resumed.errors)")
        let adapter = "/adapter_model.safetensors"
        #expect(
            try FileSystem.read(out + adapter) == FileSystem.read(place.path + "/out" + adapter))
    }

    /// The same by the shell's limit on the size of a file, which needs no rights.
    @Test func `a file beyond the shell's limit keeps the checkpoints before`() throws {
        let place = try Workplace()
        let whole = try osler(["train", place.configuration] + Self.saving)
        try #require(whole.code == 0, "\(whole.errors)")
        let out = place.path + "/out"
        for name in try FileSystem.list(out) where name != "checkpoint-1" {
            try FileSystem.remove(out + "/" + name)
        }
        let checkpoint = try contents(out + "/checkpoint-1")
        // 64 KiB: less than the adapter.
        let full = try osler(
            ["train", place.configuration] + Self.saving + ["--resume"], largestFile: 64)
        expectOneLine(
            full, out + "/checkpoint-2/", "cannot be written", "File too large", "free some space")
        #expect(
            try FileSystem.list(out)
                == ["checkpoint-1", "metrics.jsonl", "report.html", "run.json", "steps.jsonl"])
        #expect(try contents(out + "/checkpoint-1") == checkpoint)
    }

    /// The adapter at the end: no configuration without weights.
    @Test func `an adapter that does not fit leaves nothing of it`() throws {
        let place = try Workplace()
        let full = try osler(["train", place.configuration, "--quiet"], largestFile: 64)
        expectOneLine(full, place.path + "/out/adapter_model.safetensors", "File too large")
        #expect(
            try FileSystem.list(place.path + "/out")
                == ["metrics.jsonl", "report.html", "run.json", "steps.jsonl"])
    }

    @Test(arguments: [["quantize"], ["merge", "--adapter", Fixtures.path("lora/qkvo")]])
    func `a model that does not fit leaves no folder`(command: [String]) throws {
        let place = try Workplace()
        let output = place.path + "/written"
        let full = try osler(
            command + ["--model", place.model, "-o", output], largestFile: 64)
        expectOneLine(full, output + "/", "File too large")
        #expect(try FileSystem.list(place.path) == ["model", "rows.jsonl", "run.yaml"])
    }
}

/// A file system of its own with little room; unmounted at the end.
private final class SmallDisk {
    let path = Fixtures.temporaryFolder()

    init(kilobytes: Int) throws {
        try FileSystem.createDirectories(path)
        guard try Self.run("mount", "-t", "tmpfs", "-o", "size=\(kilobytes)k", "tmpfs", path) else {
            try FileSystem.remove(path)
            throw InputError("cannot be mounted", file: path)
        }
    }

    func grow(kilobytes: Int) throws {
        try #require(try Self.run("mount", "-o", "remount,size=\(kilobytes)k", path))
    }

    deinit {
        _ = try? Self.run("umount", path)
        try? FileSystem.remove(path)
    }

    static let isAvailable = (try? SmallDisk(kilobytes: 64)) != nil

    private static func run(_ arguments: String...) throws -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        (process.standardOutput, process.standardError) =
            (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
