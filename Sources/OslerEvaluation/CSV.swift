internal import OslerFormats

/// Comma-separated values (RFC 4180): a header, then rows; quotes around a field may hold commas, line ends and doubled
/// quotes.
enum CSV {
    /// The rows as objects of texts, by the header's names.
    ///
    /// - Throws: `InputError` for a quote that doesn't end, and a row with more or fewer fields than the header.
    static func parse(_ text: String, file: String) throws -> [JSON.Object] {
        var records = try records(text, file: file)
        guard !records.isEmpty else { return [] }
        let header = records.removeFirst()
        return try records.enumerated().map { row, fields in
            guard fields.count == header.count else {
                throw InputError(
                    "\(fields.count) fields, the header has \(header.count)", file: file,
                    field: "row \(row)", remedy: "put fields with commas in quotes")
            }
            return JSON.Object(zip(header, fields).map { ($0, .string($1)) })
        }
    }

    private static func records(_ text: String, file: String) throws -> [[String]] {
        let bytes = Array(text.utf8)
        var place = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        var (records, record): ([[String]], [String]) = ([], [])
        var line = 1
        while place < bytes.count {
            var field: [UInt8] = []
            if bytes[place] == UInt8(ascii: "\"") {
                let start = line
                place += 1
                while true {
                    guard place < bytes.count else {
                        throw InputError(
                            "a quote that begins here does not end", file: file,
                            field: "line \(start)")
                    }
                    let byte = bytes[place]
                    place += 1
                    if byte == UInt8(ascii: "\"") {
                        guard place < bytes.count, bytes[place] == byte else { break }
                        place += 1
                    }
                    if byte == 0x0A { line += 1 }
                    field.append(byte)
                }
            }
            // Behind a quote only an end may follow; what stands there is kept as it is.
            while place < bytes.count, bytes[place] != UInt8(ascii: ","), bytes[place] != 0x0A {
                field.append(bytes[place])
                place += 1
            }
            let isLast = place >= bytes.count || bytes[place] == 0x0A
            if isLast, field.last == 0x0D { field.removeLast() }
            record.append(String(decoding: field, as: UTF8.self))
            let endsInComma = place == bytes.count - 1 && !isLast
            place += 1
            if endsInComma { record.append("") }
            if isLast || endsInComma {
                line += 1
                // A blank line is no record.
                if record != [""] { records.append(record) }
                record = []
            }
        }
        return records
    }
}
