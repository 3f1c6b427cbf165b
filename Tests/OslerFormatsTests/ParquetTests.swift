import OslerFormats
import OslerTestSupport
import Testing

/// Files that pyarrow wrote, and what it reads from them (`Scripts/make-fixtures`).
@Suite struct `Parquet` {
    private static let files = [
        "snappy-dictionary", "zstd-dictionary-v2", "zstd-plain", "none-plain-v2",
        "gzip-small-pages",
        "snappy-old-lists",
    ]

    @Test(arguments: files) func `rows are pyarrow's`(name: String) throws {
        let expected = try #require(try JSON.parse(file: fixture("rows.json")).array)
        let rows = try read(FileSystem.read(fixture(name + ".parquet")))
        try #require(rows.count == expected.count)
        for (row, expected) in zip(rows, expected) { #expect(JSON.object(row) == expected) }
        #expect(rows[0].keys == expected[0].object?.keys)
        #expect(!rows[0].keys.contains("image"))
    }

    @Test func `what is not read is named`() throws {
        #expect(
            inputError { _ = try read(FileSystem.read(fixture("delta.parquet"))) }
                == "f: column 'repeated': its values are in Parquet encoding 7; "
                + "write the file again with plain or dictionary encodings")
        #expect(
            inputError { _ = try read(FileSystem.read(fixture("brotli.parquet"))) }
                == "f: column 'repeated': compressed with Brotli, which is not read; "
                + "write the file again with zstd or snappy")
    }

    @Test(arguments: files) func `cut files are one line`(name: String) throws {
        let bytes = try FileSystem.read(fixture(name + ".parquet"))
        for count in stride(from: 0, to: bytes.count, by: 37) {
            let line = try #require(inputError { _ = try read(Array(bytes.prefix(count))) })
            #expect(line.hasPrefix("f: damaged Parquet"))
        }
    }

    /// Damage is found or harmless: nothing crashes, and nothing takes much memory.
    @Test(arguments: files) func `damaged files don't crash`(name: String) throws {
        let whole = try FileSystem.read(fixture(name + ".parquet"))
        var generator = SplitMix(state: 7)
        var refused = 0
        for round in 0..<1500 {
            var bytes = whole
            // The footer and the headers of pages are where the sizes are.
            let inFooter = round.isMultiple(of: 2)
            for _ in 0..<(1 + round % 3) {
                let place =
                    inFooter
                    ? Int.random(in: (bytes.count / 2)..<bytes.count, using: &generator)
                    : Int.random(in: 4..<bytes.count, using: &generator)
                bytes[place] = UInt8.random(in: 0...255, using: &generator)
            }
            if let line = inputError({ _ = try read(bytes) }) {
                refused += 1
                #expect(!line.hasPrefix("not an InputError"))
                #expect(!line.contains("\n"))
            }
        }
        #expect(refused > 100)
    }

    @Test func `what is no Parquet file`() {
        #expect(!isParquet(Array("PAR1".utf8)))
        #expect(!isParquet(Array("[{\"PAR1\": \"PAR1\"}]".utf8)))
        #expect(inputError { _ = try read([UInt8](repeating: 0, count: 40)) } != nil)
    }

    private func fixture(_ name: String) -> String { Fixtures.path("parquet/" + name) }

    private func read(_ bytes: [UInt8]) throws -> [JSON.Object] {
        try bytes.withUnsafeBytes { try ParquetFile.rows($0, file: "f") }
    }

    private func isParquet(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { ParquetFile.isParquet($0) }
    }
}
