/// Puts columns together to rows, by Dremel's levels: a definition level says down to which field an entry is there, a
/// repetition level which list it continues.
struct ParquetRows {
    private let columns: [ParquetColumn?]
    private var entries: [Int]
    private var values: [Int]
    private let fault: (String) -> InputError

    /// - Parameter columns: nil for those that are left out.
    init(_ columns: [ParquetColumn?], fault: @escaping (String) -> InputError) {
        (self.columns, self.fault) = (columns, fault)
        entries = Array(repeating: 0, count: columns.count)
        values = entries
    }

    mutating func row(_ fields: [ParquetField]) throws -> JSON.Object {
        var row = JSON.Object()
        for field in fields { row[field.name] = try value(field) }
        return row
    }

    /// Whether every entry was used.
    var isAtEnd: Bool {
        columns.indices.allSatisfy { columns[$0].map(\.count) ?? 0 == entries[$0] }
    }

    private mutating func value(_ field: ParquetField) throws -> JSON {
        switch field.repetition {
        case .required: return try content(field)
        case .optional:
            if try definition(field) >= field.definition { return try content(field) }
            try skip(field)
            return .null
        case .repeated: return .array(try elements(field))
        }
    }

    private mutating func content(_ field: ParquetField) throws -> JSON {
        switch field.kind {
        case .column(_, let column): return try take(column)
        case .group(let fields): return .object(try row(fields))
        case .list(let element): return .array(try elements(element))
        }
    }

    /// Elements of a field that repeats.
    private mutating func elements(_ field: ParquetField) throws -> [JSON] {
        guard try definition(field) >= field.definition else {
            try skip(field)
            return []
        }
        var elements: [JSON] = []
        repeat {
            if case .list(let element) = field.kind {
                elements.append(try value(element))
            } else {
                elements.append(try content(field))
            }
        } while continues(field)
        return elements
    }

    /// Whether the next entry belongs to the same list.
    private func continues(_ field: ParquetField) -> Bool {
        let column = field.columns.lowerBound
        guard let levels = columns[column]?.repetitions, entries[column] < levels.count else {
            return false
        }
        return Int(levels[entries[column]]) >= field.repetitions
    }

    private func definition(_ field: ParquetField) throws -> Int {
        let column = field.columns.lowerBound
        guard let content = columns[column], entries[column] < content.count else {
            throw fault("rows have different lengths")
        }
        return content.definitions.isEmpty ? 0 : Int(content.definitions[entries[column]])
    }

    /// Passes an entry of each column below a field that is not there.
    private mutating func skip(_ field: ParquetField) throws {
        for column in field.columns {
            guard let content = columns[column], entries[column] < content.count else {
                throw fault("rows have different lengths")
            }
            entries[column] += 1
        }
    }

    private mutating func take(_ column: Int) throws -> JSON {
        guard let content = columns[column], entries[column] < content.count,
            values[column] < content.values.count
        else { throw fault("rows have different lengths") }
        defer {
            entries[column] += 1
            values[column] += 1
        }
        return content.values[values[column]]
    }
}
