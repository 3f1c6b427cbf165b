/// Reads the rows of a Parquet file as JSON objects.
///
/// What it reads: texts, whole and floating-point numbers, truth values, in structures and lists of any depth (chat data),
/// as one file or the row groups of one; plain and dictionary encodings, pages of both versions; Snappy, gzip, Zstandard
/// or no compression. What it doesn't: encryption; delta and byte-stream encodings; Brotli, LZO and LZ4; more than 2^24
/// values of a column in a row group. Columns in other types (INT96, decimals, bytes that are no text, such as images) are
/// left out. Maps come as lists of key and value.
package enum ParquetFile {
    private static let mark = Array("PAR1".utf8)
    /// Entries of all columns and row groups together.
    private static let mostEntries = 1 << 28

    package static func isParquet(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= 12 && bytes.prefix(4).elementsEqual(mark)
    }

    /// - Throws: `InputError` for a damaged file, and for what is not read.
    package static func rows(_ bytes: UnsafeRawBufferPointer, file: String? = nil) throws
        -> [JSON.Object]
    {
        func fault(_ problem: String) -> InputError {
            InputError(
                "damaged Parquet file: \(problem)", file: file, remedy: "fetch the file again")
        }
        guard isParquet(bytes) else { throw fault("it does not begin with PAR1") }
        guard bytes.suffix(4).elementsEqual(mark) else { throw fault("its end is missing") }
        let footer = bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt32.self)
        let size = Int(UInt32(littleEndian: footer))
        guard size <= bytes.count - 12 else { throw fault("its footer is too long") }
        var reader = ThriftReader(
            UnsafeRawBufferPointer(rebasing: bytes[(bytes.count - 8 - size)..<(bytes.count - 8)]),
            file: file)
        let metadata = try reader.structure()
        guard let elements = metadata[2]?.list, let groups = metadata[4]?.list else {
            throw fault("its footer is incomplete")
        }
        let schema = try ParquetSchema(elements, file: file)
        let fields = schema.fields.filter { field in
            field.columns.allSatisfy { schema.types[$0] != .other }
        }
        var rows: [JSON.Object] = []
        var entries = 0
        for group in groups {
            rows += try self.rows(of: group, fields, schema, bytes, file, &entries, fault)
        }
        return rows
    }

    private static func rows(
        of group: ThriftValue, _ fields: [ParquetField], _ schema: ParquetSchema,
        _ bytes: UnsafeRawBufferPointer, _ file: String?, _ entries: inout Int,
        _ fault: @escaping (String) -> InputError
    ) throws -> [JSON.Object] {
        guard let chunks = group[1]?.list, chunks.count == schema.types.count,
            let count = group[3]?.integer, count >= 0
        else { throw fault("a row group is incomplete") }
        var columns = [ParquetColumn?](repeating: nil, count: chunks.count)
        for column in fields.flatMap(\.columns) {
            var reader = try ParquetColumnReader(
                bytes, chunk: chunks[column], type: schema.types[column],
                levels: schema.levels[column], file: file)
            let read = try reader.read()
            entries += read.count
            guard entries <= mostEntries, read.count >= count else {
                throw fault("its row groups have too many or too few values")
            }
            columns[column] = read
        }
        guard !fields.isEmpty else { return [] }
        var assembled = ParquetRows(columns, fault: fault)
        let rows = try (0..<count).map { _ in try assembled.row(fields) }
        guard assembled.isAtEnd else { throw fault("rows have different lengths") }
        return rows
    }
}
