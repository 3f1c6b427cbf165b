/// Comma-separated values (RFC 4180): the first line names the columns; fields in quotes may hold commas, line ends and
/// doubled quotes. Every value is text, an empty one is null, as `datasets` reads columns of text.
package enum CSV {
    /// - Throws: `InputError` for a line with another number of fields, a quote that does not end, and what is no UTF-8.
    package static func rows(_ bytes: UnsafeRawBufferPointer, file: String? = nil) throws
        -> [JSON.Object]
    {
        var reader = Reader(bytes: bytes, file: file)
        if bytes.prefix(3).elementsEqual([0xEF, 0xBB, 0xBF]) { reader.position = 3 }
        guard let header = try reader.line() else { return [] }
        let names = header.map { $0 ?? "" }
        guard Set(names).count == names.count else {
            throw InputError("the same column twice", file: file, field: "line 1")
        }
        var rows: [JSON.Object] = []
        while let (fields, line) = try reader.numberedLine() {
            guard fields.count == names.count else {
                throw InputError(
                    "\(fields.count) fields, the first line has \(names.count)", file: file,
                    field: "line \(line)")
            }
            rows.append(
                JSON.Object(zip(names, fields).map { ($0, $1.map { .string($0) } ?? .null) }))
        }
        return rows
    }

    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        let file: String?
        var position = 0
        private var lineNumber = 1
        private static let (quote, comma) = (UInt8(ascii: "\""), UInt8(ascii: ","))
        private static let (lineFeed, carriageReturn): (UInt8, UInt8) = (0x0A, 0x0D)

        init(bytes: UnsafeRawBufferPointer, file: String?) {
            (self.bytes, self.file) = (bytes, file)
        }

        /// The next line that is not blank, with the number of its first one in the file.
        mutating func numberedLine() throws -> (fields: [String?], line: Int)? {
            while position < bytes.count, isLineEnd(bytes[position]) { passLineEnd() }
            let number = lineNumber
            return try line().map { ($0, number) }
        }

        mutating func line() throws -> [String?]? {
            guard position < bytes.count else { return nil }
            var fields: [String?] = []
            while true {
                fields.append(try field())
                guard position < bytes.count else { return fields }
                guard bytes[position] == Self.comma else {
                    passLineEnd()
                    return fields
                }
                position += 1
            }
        }

        private mutating func field() throws -> String? {
            guard position < bytes.count, bytes[position] == Self.quote else {
                let start = position
                while position < bytes.count, bytes[position] != Self.comma,
                    !isLineEnd(bytes[position])
                { position += 1 }
                return try text(Array(bytes[start..<position]))
            }
            let start = lineNumber
            var content: [UInt8] = []
            position += 1
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                guard byte == Self.quote else {
                    if byte == Self.lineFeed { lineNumber += 1 }
                    content.append(byte)
                    continue
                }
                if position < bytes.count, bytes[position] == Self.quote {
                    content.append(byte)
                    position += 1
                    continue
                }
                guard
                    position == bytes.count || bytes[position] == Self.comma
                        || isLineEnd(bytes[position])
                else { throw fault("text after a closing quote") }
                return try text(content)
            }
            throw InputError("a quote that does not end", file: file, field: "line \(start)")
        }

        private func text(_ bytes: [UInt8]) throws -> String? {
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw fault("is not valid UTF-8 text")
            }
            return text.isEmpty ? nil : text
        }

        private func isLineEnd(_ byte: UInt8) -> Bool {
            byte == Self.lineFeed || byte == Self.carriageReturn
        }

        private mutating func passLineEnd() {
            let isPair =
                bytes[position] == Self.carriageReturn && position + 1 < bytes.count
                && bytes[position + 1] == Self.lineFeed
            position += isPair ? 2 : 1
            lineNumber += 1
        }

        private func fault(_ problem: String) -> InputError {
            InputError(problem, file: file, field: "line \(lineNumber)")
        }
    }
}
