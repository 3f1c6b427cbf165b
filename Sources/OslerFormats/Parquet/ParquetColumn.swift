/// A column's values in one row group: levels of every entry, and the values that are there.
struct ParquetColumn {
    var definitions: [UInt8] = []
    var repetitions: [UInt8] = []
    var values: [JSON] = []
    /// Entries, present or not.
    var count = 0
}

/// Reads a column's pages in one row group.
struct ParquetColumnReader {
    let bytes: UnsafeRawBufferPointer
    let file: String?
    let name: String
    let type: ParquetColumnType
    let levels: (definition: Int, repetition: Int)
    private let codec: Int
    private let entries: Int
    private let range: Range<Int>
    private var dictionary: [JSON]?
    private var column = ParquetColumn()

    /// Largest page, decompressed, and most entries of a column in a row group.
    private static let largestPage = 1 << 29
    static let mostEntries = 1 << 24

    /// - Parameter chunk: the column's description in the row group.
    init(
        _ bytes: UnsafeRawBufferPointer, chunk: ThriftValue, type: ParquetColumnType,
        levels: (definition: Int, repetition: Int), file: String?
    ) throws {
        (self.bytes, self.type, self.levels, self.file) = (bytes, type, levels, file)
        let path = chunk[3]?[3]?.list?.compactMap(\.string) ?? []
        name = path.joined(separator: ".")
        let problem = InputError(
            "damaged Parquet column", file: file, field: "column '\(name)'",
            remedy: "fetch the file again")
        guard let data = chunk[3], let codec = data[4]?.integer, let entries = data[5]?.integer,
            let size = data[7]?.integer, let first = data[9]?.integer
        else { throw problem }
        let start = min(first, data[11]?.integer.flatMap { $0 > 0 ? $0 : nil } ?? first)
        guard start >= 0, size >= 0, start <= bytes.count, size <= bytes.count - start,
            entries >= 0, levels.definition < 256, levels.repetition < 256
        else { throw problem }
        guard entries <= Self.mostEntries else {
            throw InputError(
                "\(entries) values in a row group, more than \(Self.mostEntries) are not read",
                file: file, field: "column '\(name)'",
                remedy: "write the file again with smaller row groups")
        }
        (self.codec, self.entries, range) = (codec, entries, start..<(start + size))
    }

    mutating func read() throws -> ParquetColumn {
        var position = range.lowerBound
        while column.count < entries {
            guard position < range.upperBound else { throw fault("pages are missing") }
            var reader = ThriftReader(
                UnsafeRawBufferPointer(rebasing: bytes[position..<range.upperBound]), file: file)
            let header = try reader.structure()
            position += reader.position
            guard let size = header[3]?.integer, let fullSize = header[2]?.integer, size >= 0,
                size <= range.upperBound - position, fullSize >= 0, fullSize <= Self.largestPage
            else { throw fault("a page has a wrong size") }
            let page = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + size)])
            position += size
            try take(header, page, fullSize)
        }
        guard column.count == entries else { throw fault("its pages have too many values") }
        return column
    }

    private mutating func take(
        _ header: ThriftValue, _ page: UnsafeRawBufferPointer, _ fullSize: Int
    ) throws {
        let (dataPage, dictionaryPage, dataPage2) = (0, 2, 3)
        switch header[1]?.integer {
        case dictionaryPage:
            guard dictionary == nil, let count = header[7]?[1]?.integer else {
                throw fault("a wrong dictionary")
            }
            dictionary = try decompressed(page, fullSize).withUnsafeBytes {
                try ParquetPlain.decode($0, type, count: count, fault)
            }
        case dataPage:
            guard let data = header[5], let count = data[1]?.integer,
                let encoding = data[2]?.integer
            else { throw fault("a wrong page") }
            try checkCount(count)
            try decompressed(page, fullSize).withUnsafeBytes { bytes in
                var rest = bytes
                let repetitions = try levels(&rest, levels.repetition, count, data[4]?.integer)
                let definitions = try levels(&rest, levels.definition, count, data[3]?.integer)
                try append(rest, encoding, count, definitions, repetitions)
            }
        case dataPage2: try takeSecond(header[8], page, fullSize)
        default: break
        }
    }

    /// A page of the second version: its levels are never compressed.
    private mutating func takeSecond(
        _ data: ThriftValue?, _ page: UnsafeRawBufferPointer, _ fullSize: Int
    ) throws {
        guard let data, let count = data[1]?.integer, let encoding = data[4]?.integer,
            let definitionSize = data[5]?.integer, let repetitionSize = data[6]?.integer,
            definitionSize >= 0, repetitionSize >= 0, definitionSize <= page.count,
            repetitionSize <= page.count - definitionSize
        else { throw fault("a wrong page") }
        try checkCount(count)
        let levelSize = definitionSize + repetitionSize
        func runs(_ range: Range<Int>, _ highest: Int) throws -> [UInt8] {
            guard highest > 0 else { return [] }
            return try decodeLevels(
                UnsafeRawBufferPointer(rebasing: page[range]), highest, count)
        }
        let repetitions = try runs(0..<repetitionSize, levels.repetition)
        let definitions = try runs(repetitionSize..<levelSize, levels.definition)
        let content = UnsafeRawBufferPointer(rebasing: page[levelSize...])
        guard fullSize >= levelSize else { throw fault("a page has a wrong size") }
        if data[7]?.bool == false {
            try append(content, encoding, count, definitions, repetitions)
        } else {
            try decompressed(content, fullSize - levelSize).withUnsafeBytes {
                try append($0, encoding, count, definitions, repetitions)
            }
        }
    }

    private func checkCount(_ count: Int) throws {
        guard count >= 0, count <= entries - column.count else {
            throw fault("its pages have too many values")
        }
    }

    /// Levels of a page of the first version: a length in four bytes, then runs.
    private func levels(
        _ rest: inout UnsafeRawBufferPointer, _ highest: Int, _ count: Int, _ encoding: Int?
    ) throws -> [UInt8] {
        guard highest > 0 else { return [] }
        let runs = 3
        guard encoding == runs else { throw fault("levels in encoding \(encoding ?? -1)") }
        let content = try prefixed(&rest)
        return try decodeLevels(content, highest, count)
    }

    private func decodeLevels(
        _ bytes: UnsafeRawBufferPointer, _ highest: Int, _ count: Int
    ) throws -> [UInt8] {
        let width = ParquetRuns.bitWidth(highest)
        guard let values = ParquetRuns.decode(bytes, bitWidth: width, count: count),
            values.allSatisfy({ $0 <= highest })
        else { throw fault("damaged levels") }
        return values.map { UInt8(truncatingIfNeeded: $0) }
    }

    private func prefixed(_ rest: inout UnsafeRawBufferPointer) throws -> UnsafeRawBufferPointer {
        guard rest.count >= 4 else { throw fault("a page ends early") }
        let size = Int(UInt32(littleEndian: rest.loadUnaligned(as: UInt32.self)))
        guard size <= rest.count - 4 else { throw fault("a page ends early") }
        defer { rest = UnsafeRawBufferPointer(rebasing: rest[(4 + size)...]) }
        return UnsafeRawBufferPointer(rebasing: rest[4..<(4 + size)])
    }

    private mutating func append(
        _ bytes: UnsafeRawBufferPointer, _ encoding: Int, _ count: Int, _ definitions: [UInt8],
        _ repetitions: [UInt8]
    ) throws {
        let present =
            levels.definition == 0
            ? count : definitions.reduce(0) { $0 + (Int($1) == levels.definition ? 1 : 0) }
        let (plain, oldDictionary, runs, newDictionary) = (0, 2, 3, 8)
        switch encoding {
        case plain: column.values += try ParquetPlain.decode(bytes, type, count: present, fault)
        case runs where type == .boolean:
            var rest = bytes
            guard let bits = ParquetRuns.decode(try prefixed(&rest), bitWidth: 1, count: present)
            else { throw fault("damaged values") }
            column.values += bits.map { .bool($0 == 1) }
        case oldDictionary, newDictionary:
            column.values += try indexed(bytes, present)
        default:
            throw InputError(
                "its values are in Parquet encoding \(encoding)", file: file,
                field: "column '\(name)'",
                remedy: "write the file again with plain or dictionary encodings")
        }
        column.definitions += definitions
        column.repetitions += repetitions
        column.count += count
    }

    private func indexed(_ bytes: UnsafeRawBufferPointer, _ count: Int) throws -> [JSON] {
        guard let dictionary else { throw fault("the dictionary is missing") }
        guard count > 0 else { return [] }
        guard let width = bytes.first,
            let places = ParquetRuns.decode(
                UnsafeRawBufferPointer(rebasing: bytes[1...]), bitWidth: Int(width), count: count)
        else { throw fault("damaged values") }
        return try places.map { place in
            guard place < dictionary.count else { throw fault("no such value in the dictionary") }
            return dictionary[Int(place)]
        }
    }

    private func decompressed(_ page: UnsafeRawBufferPointer, _ count: Int) throws -> [UInt8] {
        let (none, snappy, gzip, zstd) = (0, 1, 2, 6)
        // A page of nulls may have no bytes at all, whatever the compression.
        if count == 0 { return [] }
        switch codec {
        case none: return Array(page)
        case snappy:
            guard let bytes = Snappy.decompress(page, limit: count), bytes.count == count else {
                throw fault("damaged Snappy data")
            }
            return bytes
        case gzip: return try Gzip.decompress(page, file: file, limit: count)
        case zstd: return try Zstandard.decompress(page, count: count, file: file)
        default:
            let names = [3: "LZO", 4: "Brotli", 5: "LZ4", 7: "LZ4"]
            throw InputError(
                "compressed with \(names[codec] ?? "codec \(codec)"), which is not read",
                file: file, field: "column '\(name)'",
                remedy: "write the file again with zstd or snappy")
        }
    }

    private func fault(_ problem: String) -> InputError {
        InputError(
            "damaged Parquet data: \(problem)", file: file, field: "column '\(name)'",
            remedy: "fetch the file again")
    }
}
