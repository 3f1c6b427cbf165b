import OslerFormats
import Testing

@Suite struct `Comma-separated values` {
    @Test func `quotes hold commas, line ends and quotes`() throws {
        let text = "\u{FEFF}question,answer\r\n\"a, \"\"b\"\"\nc\",1\r\n\r\n,\"\"\nä,"
        let rows = try read(text)
        #expect(rows.map { $0["question"] } == ["a, \"b\"\nc", .null, "ä"])
        #expect(rows.map { $0["answer"] } == ["1", .null, .null])
        #expect(rows[0].keys == ["question", "answer"])
    }

    @Test(arguments: [
        ("a,b\n1\n", "f: line 2: 1 fields, the first line has 2"),
        ("a\n\"x\ny", "f: line 2: a quote that does not end"),
        ("a\n\"x\"y\n", "f: line 2: text after a closing quote"),
        ("a,a\n", "f: line 1: the same column twice"),
        ("a\n\"1\n2\"\n\n1,2", "f: line 5: 2 fields, the first line has 1"),
    ]) func `damage is one line with its place`(text: String, line: String) {
        #expect(inputError { _ = try read(text) } == line)
    }

    @Test func `nothing is no rows`() throws {
        #expect(try read("").isEmpty)
        #expect(try read("a,b\n").isEmpty)
    }

    private func read(_ text: String) throws -> [JSON.Object] {
        try Array(text.utf8).withUnsafeBytes { try CSV.rows($0, file: "f") }
    }
}
