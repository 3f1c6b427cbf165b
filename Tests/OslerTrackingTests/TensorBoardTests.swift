import OslerFormats
import OslerTestSupport
import OslerTraining
import Testing

@testable import OslerTracking

@Suite struct TensorBoardTests {
    private struct Event {
        var time = 0.0
        var step = 0
        var version: String?
        var scalars: [String: Float] = [:]
        var texts: [String: String] = [:]
        var restarts = false
    }

    /// A second reading of the format: lengths and both checksums are verified.
    private func events(_ path: String) throws -> [Event] {
        let bytes = try FileSystem.read(path)
        var (place, events): (Int, [Event]) = (0, [])
        func masked(_ range: Range<Int>) -> UInt32 {
            let sum = CyclicRedundancy.castagnoli(bytes[range])
            return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
        }
        func number(_ place: Int, _ count: Int) -> UInt64 {
            (0..<count).reduce(0) { $0 | UInt64(bytes[place + $1]) << UInt64(8 * $1) }
        }
        while place < bytes.count {
            let count = Int(number(place, 8))
            try #require(UInt64(masked(place..<place + 8)) == number(place + 8, 4))
            let data = place + 12..<place + 12 + count
            try #require(UInt64(masked(data)) == number(data.upperBound, 4))
            events.append(event(bytes[data]))
            place = data.upperBound + 4
        }
        return events
    }

    private func event(_ bytes: ArraySlice<UInt8>) -> Event {
        var event = Event()
        for (field, value) in ProtobufReader(bytes) {
            switch field {
            case 1: event.time = value.double ?? 0
            case 2: event.step = value.integer ?? 0
            case 3: event.version = value.text
            case 5: read(value.bytes ?? [], into: &event)
            case 7:
                let status = ProtobufReader.first(1, in: value.bytes ?? [])
                event.restarts = status?.integer == 1
            default: Issue.record("unknown field \(field)")
            }
        }
        return event
    }

    private func read(_ summary: ArraySlice<UInt8>, into event: inout Event) {
        for (_, value) in ProtobufReader(summary) {
            let bytes = value.bytes ?? []
            let tag = ProtobufReader.first(1, in: bytes)?.text ?? ""
            if let scalar = ProtobufReader.first(2, in: bytes)?.float {
                event.scalars[tag] = scalar
            }
            if let tensor = ProtobufReader.first(8, in: bytes)?.bytes {
                event.texts[tag] = ProtobufReader.first(8, in: tensor)?.text
            }
        }
    }

    private func files(_ folder: String) throws -> [String] {
        try FileSystem.list(folder).map { folder + "/" + $0 }
    }

    @Test func `scalars have transformers' names and steps`() throws {
        let place = try TemporaryFolder()
        let reporter = TensorBoardReporter(
            ToldRun.description(place.path),
            clock: { WallClock(seconds: 100, nanoseconds: 500_000_000) })
        try ToldRun().tell(reporter)
        let folder = try #require(reporter.folder)
        #expect(folder.hasPrefix(place.path + "/runs/"))
        let file = try #require(try files(folder).first)
        #expect(file.contains("events.out.tfevents.100."))
        let events = try events(file)
        #expect(events.first?.version == "brain.Event:2" && events.allSatisfy { $0.time == 100.5 })
        let text = try #require(events[1].texts["args/text_summary"])
        #expect(text.contains("\"list\": [") && text.contains("é"))
        #expect(events.dropFirst(2).map(\.step) == [1, 2, 2, 3, 4, 4, 4])
        #expect(
            events[2].scalars["train/loss"] == 3 && events[2].scalars["train/num_tokens"] == 100)
        #expect(events[2].scalars["perf/tokens_per_second"] == 200)
        #expect(events[4].scalars["eval/loss"] == 2 && events[4].scalars["train/epoch"] == 0.5)
        #expect(events[8].scalars["train/train_runtime"] == 2.5)
        #expect(!events.contains { $0.restarts })
    }

    @Test func `a resumed run adds a file to its folder, which takes over after the checkpoint`()
        throws
    {
        let place = try TemporaryFolder()
        var seconds = 100
        func reporter() -> TensorBoardReporter {
            seconds += 1
            let now = seconds
            return TensorBoardReporter(
                ToldRun.description(place.path), clock: { WallClock(seconds: now) })
        }
        let first = reporter()
        try ToldRun(steps: 6, totalSteps: 8, exitCode: nil).tell(first)
        let second = reporter()
        try ToldRun(firstStep: 4, steps: 4, totalSteps: 8).tell(second)
        #expect(first.folder == second.folder)
        let files = try files(try #require(second.folder))
        #expect(files.count == 2)
        // The first one was never told of an end and holds everything.
        #expect(try events(files[0]).map(\.step).max() == 6)
        let resumed = try events(files[1])
        #expect(resumed[1].restarts && resumed[1].step == 5)
        #expect(resumed.dropFirst(2).first?.step == 5)
        // A new run has a folder of its own.
        let third = reporter()
        try ToldRun().tell(third)
        #expect(third.folder != first.folder)
    }

    @Test func `logging_dir says where`() throws {
        let place = try TemporaryFolder()
        var run = ToldRun.description(place.path)
        run.loggingDirectory = place.path + "/board/x"
        let reporter = TensorBoardReporter(run)
        try ToldRun().tell(reporter)
        #expect(try files(place.path + "/board/x").count == 1)
    }
}
