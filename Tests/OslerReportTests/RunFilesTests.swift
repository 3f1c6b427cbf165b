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

    @Test func `SHA-256 has its published values`() throws {
        #expect(
            SHA256.of(Array("abc".utf8))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            SHA256.of([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            SHA256.of(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        let folder = try TemporaryFolder()
        // More than a piece.
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(
            SHA256.of(million)
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        let large = [UInt8](repeating: 7, count: 64 << 20 | 5)
        try AtomicFile.write(large, to: folder.path + "/large")
        #expect(try SHA256.ofFile(folder.path + "/large") == SHA256.of(large))
        try AtomicFile.write([], to: folder.path + "/empty")
        #expect(try SHA256.ofFile(folder.path + "/empty") == SHA256.of([]))
    }
}
