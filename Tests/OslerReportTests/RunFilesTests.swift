import OslerFormats
import OslerTestSupport
import Testing

@testable import OslerReport

@Suite struct RunFilesTests {
    @Test func `a folder is read as far as it goes`() throws {
        let folder = try TemporaryFolder()
        let nothing = #expect(throws: InputError.self) { try RunFiles(reading: folder.path) }
        #expect(nothing?.problem.contains("run.json") == true)
        #expect(throws: InputError.self) { try RunFiles(reading: folder.path + "/none") }
        // Half a last line, as a killed run leaves it.
        try folder.write("{\"loss\": 1, \"step\": 1}\n{\"loss\": 2, \"st", "metrics.jsonl")
        #expect(try RunFiles(reading: folder.path).log.count == 1)
        try folder.write("{\"loss\": 1, \"step\": 1}\n{\"loss\": 2, \"step\": 2}", "metrics.jsonl")
        #expect(try RunFiles(reading: folder.path).log.count == 2)
        try folder.write("{\"tasks\": []}", "evaluation/comparison.json")
        try folder.write("{\"id\": 1}\n", "evaluation/items.jsonl")
        let run = try RunFiles(reading: folder.path)
        #expect(run.comparison != nil && run.items.count == 1 && run.record.isEmpty)
    }

    @Test(arguments: [
        ("run.json", "[1]"), ("run.json", "{"), ("metrics.jsonl", "{}\nnot json\n{}\n"),
        ("evaluation/comparison.json", "nope"),
    ])
    func `a damaged file is named`(name: String, content: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("{\"loss\": 1, \"step\": 1}\n", "metrics.jsonl")
        try folder.write(content, name)
        let error = #expect(throws: InputError.self) { try RunFiles(reading: folder.path) }
        #expect(error?.file?.hasSuffix(name) == true)
    }

    @Test func `a file's SHA-256 is that of its bytes, whatever their number`() throws {
        let folder = try TemporaryFolder()
        // More than a piece.
        for bytes in [[UInt8](repeating: 7, count: 64 << 20 | 5), Array("abc".utf8), []] {
            try AtomicFile.write(bytes, to: folder.path + "/file")
            var digest = Digest(.sha256)
            bytes.withUnsafeBytes { digest.update($0) }
            #expect(try SHA256.ofFile(folder.path + "/file") == digest.finish())
        }
    }
}
