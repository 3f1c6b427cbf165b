import OslerFormats
import OslerTestSupport
import OslerTraining
import Testing

@testable import OslerTracking

@Suite struct StepLogTests {
    private func steps(_ folder: String) throws -> [Int] {
        try MappedFile(folder + "/steps.jsonl").withBytes { try JSONLines.parse($0) }
            .compactMap { $0["step"]?.integer }
    }

    @Test func `each step is a line, there at once`() throws {
        let place = try TemporaryFolder()
        try ToldRun(exitCode: nil).tell(StepLog(outputDirectory: place.path))
        #expect(try steps(place.path) == [1, 2, 3, 4])
        let first = try MappedFile(place.path + "/steps.jsonl").withBytes {
            try JSONLines.parse($0)[0]
        }
        #expect(first["tokens"] == 100 && first["seconds"] == 0.5)
        #expect(first["resident_bytes"] == 3_145_728 && first["loss"] == 3.0)
    }

    @Test func `a resumed run replaces what came after its checkpoint`() throws {
        let place = try TemporaryFolder()
        try ToldRun(steps: 6, totalSteps: 8, exitCode: nil).tell(
            StepLog(outputDirectory: place.path))
        // Killed while it wrote a line.
        let path = place.path + "/steps.jsonl"
        try AtomicFile.write(Array(try FileSystem.read(path).dropLast(5)), to: path)
        try ToldRun(firstStep: 4, steps: 4, totalSteps: 8).tell(
            StepLog(outputDirectory: place.path))
        #expect(try steps(place.path) == Array(1...8))
        try ToldRun(steps: 2).tell(StepLog(outputDirectory: place.path))
        #expect(try steps(place.path) == [1, 2])
    }
}
