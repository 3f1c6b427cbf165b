import OslerData
import OslerFormats
import OslerTestSupport
import Testing

@Suite struct `Data files` {
    @Test(arguments: [
        #"[{"text": "a"}, {"text": "b"}]"#, "{\"text\": \"a\"}\n\n{\"text\": \"b\"}\n",
        "\n  [ {\"text\":\"a\"},\n{\"text\":\"b\"}]\n",
    ]) func `arrays and lines are read`(content: String) throws {
        try withFile(content) { path in
            let dataset = try Dataset.read(path)
            #expect(dataset.rows.map { $0["text"]?.string } == ["a", "b"])
            #expect(dataset.columns == ["text"])
        }
    }

    @Test func `gzip is found by its content`() throws {
        // `printf '{"text":"a"}\n' | gzip -n`
        let bytes: [UInt8] = [
            0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56, 0x2a, 0x49, 0xad, 0x28, 0x51, 0xb2,
            0x52, 0x4a, 0x54, 0xaa, 0xe5, 2, 0, 0x77, 0x4c, 0xc2, 0x38, 0x0d, 0, 0, 0,
        ]
        try withFile(bytes: bytes) { path in
            let rows = try Dataset.read(path).rows
            #expect(rows.map { $0["text"]?.string } == ["a"])
        }
        try withFile(bytes: Array(bytes.prefix(20))) { path in
            #expect(throws: InputError.self) { try Dataset.read(path) }
        }
    }

    @Test func `Parquet is found by its content, CSV by its name`() throws {
        let parquet = Fixtures.path("parquet/zstd-plain.parquet")
        let rows = try #require(try JSON.parse(file: Fixtures.path("parquet/rows.json")).array)
        try withFile(bytes: FileSystem.read(parquet)) { path in
            let found = try Dataset.read(path).rows
            #expect(found.map { JSON.object($0) } == rows)
        }
        try withTemporaryFolder { folder in
            let path = FileSystem.join(folder, "rows.csv")
            try AtomicFile.write("text,n\na,1\n", to: path)
            #expect(try Dataset.read(path).rows == [["text": "a", "n": "1"]])
            let both = try Dataset.read([path, parquet], name: "both")
            #expect(both.rows.count == 41 && both.file == "both")
        }
    }

    @Test(arguments: [
        ("", "the data set has no rows; give a JSON array of objects or one JSON object a line"),
        ("[]", "the data set has no rows; give a JSON array of objects or one JSON object a line"),
        ("[{}, 3]", "row 1: expected an object with columns, found a number"),
        ("[1, 2]\n", "row 0: expected an object with columns, found a number"),
    ]) func `what is no data set is one line`(content: String, line: String) throws {
        try withFile(content) { path in
            #expect(errorLine { _ = try Dataset.read(path) } == "\(path): \(line)")
        }
    }

    @Test(arguments: ["[{\"a\": 1}, ", "{\"a\": 1}\n{\"a\" 2}\n", "nonsense"])
    func `damaged JSON is one line with its place`(content: String) throws {
        try withFile(content) { path in
            let line = try #require(errorLine { _ = try Dataset.read(path) })
            #expect(line.hasPrefix(path + ": line "))
            #expect(!line.contains("\n"))
        }
        #expect(
            errorLine { _ = try Dataset.read("/nowhere/rows.json") }?.contains("/nowhere") == true)
    }

    private func withFile(_ content: String, _ body: (String) throws -> Void) throws {
        try withFile(bytes: Array(content.utf8), body)
    }

    private func withFile(bytes: [UInt8], _ body: (String) throws -> Void) throws {
        try withTemporaryFolder { folder in
            let path = FileSystem.join(folder, "rows.json")
            try AtomicFile.write(bytes, to: path)
            try body(path)
        }
    }
}
