package import OslerFormats

/// The rows of a data file, in order. Rows are counted from 0 everywhere, as `datasets` does.
package struct Dataset: Sendable {
    /// Where they were read, for error messages.
    package var file: String
    package var rows: [JSON.Object]

    package init(file: String, rows: [JSON.Object]) { (self.file, self.rows) = (file, rows) }

    /// Columns of the first row.
    package var columns: [String] { rows.first?.keys ?? [] }

    /// Reads files whose rows follow each other.
    ///
    /// - Parameter name: of the whole, for error messages.
    package static func read(_ paths: [String], name: String) throws -> Dataset {
        if let path = paths.first, paths.count == 1 { return try read(path) }
        return Dataset(file: name, rows: try paths.flatMap { try read($0).rows })
    }

    /// Reads Parquet, a JSON array of objects, or JSON Lines, the latter also compressed by gzip: content decides, not
    /// the name. CSV, which has no mark of its own, is told by its name.
    ///
    /// - Throws: `InputError` for what can't be read, a row that is no object, and a file without
    ///   rows.
    package static func read(_ path: String) throws -> Dataset {
        let rows = try MappedFile(path).withBytes { bytes -> [JSON] in
            if ParquetFile.isParquet(bytes) {
                return try ParquetFile.rows(bytes, file: path).map { JSON.object($0) }
            }
            guard Gzip.isCompressed(bytes) else { return try parse(bytes, path) }
            return try Gzip.decompress(bytes, file: path).withUnsafeBytes { try parse($0, path) }
        }
        guard !rows.isEmpty else {
            throw InputError(
                "the data set has no rows", file: path,
                remedy: "give a JSON array of objects or one JSON object a line")
        }
        return Dataset(file: path, rows: try rows.indices.map { try object(rows[$0], $0, path) })
    }

    private static func parse(_ bytes: UnsafeRawBufferPointer, _ path: String) throws -> [JSON] {
        if path.hasSuffix(".csv") || path.hasSuffix(".csv.gz") {
            return try CSV.rows(bytes, file: path).map { JSON.object($0) }
        }
        let spaces: Set<UInt8> = [0x20, 0x09, 0x0A, 0x0D]
        guard let first = bytes.first(where: { !spaces.contains($0) }) else { return [] }
        guard first == UInt8(ascii: "[") else { return try JSONLines.parse(bytes, file: path) }
        return try JSON.parse(bytes, file: path).array ?? []
    }

    private static func object(_ value: JSON, _ row: Int, _ path: String) throws -> JSON.Object {
        guard let object = value.object else {
            throw InputError(
                "expected an object with columns, found \(value.kindName)", file: path,
                field: "row \(row)")
        }
        return object
    }
}

extension JSON {
    /// For error messages.
    var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .integer, .number: "a number"
        case .string: "text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}
