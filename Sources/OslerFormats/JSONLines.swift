/// JSON Lines: one JSON value a line, blank lines ignored.
package enum JSONLines {
    /// Calls `body` with each value and its line number (from 1). Values are parsed one at a time,
    /// so a large file is never held as JSON.
    ///
    /// - Throws: `InputError` with the line and column; whatever `body` throws.
    package static func forEach(
        _ bytes: UnsafeRawBufferPointer, file: String? = nil,
        _ body: (_ line: Int, _ value: JSON) throws -> Void
    ) throws {
        var (start, line) = (0, 1)
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
            let content = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            if !content.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) {
                try body(line, JSON.parse(content, file: file, firstLine: line))
            }
            (start, line) = (end + 1, line + 1)
        }
    }

    package static func parse(_ bytes: UnsafeRawBufferPointer, file: String? = nil) throws -> [JSON]
    {
        var values: [JSON] = []
        try forEach(bytes, file: file) { values.append($1) }
        return values
    }
}
