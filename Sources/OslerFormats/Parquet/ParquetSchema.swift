/// A field of a Parquet file: a column, or a group of fields.
struct ParquetField {
    enum Repetition: Int { case required, optional, repeated }

    enum Kind {
        /// Texts, whole numbers, floating-point numbers or truth values; `column` counts the file's columns.
        case column(ParquetColumnType, column: Int)
        case group([ParquetField])
        /// A list, whose one child repeats.
        indirect case list(ParquetField)
    }

    var name: String
    var repetition: Repetition
    var kind: Kind
    /// Levels at which this field is there, and at which it repeats.
    var definition: Int
    var repetitions: Int
    /// The columns below it.
    var columns: Range<Int>
}

/// What a column holds, and becomes in JSON.
enum ParquetColumnType {
    case boolean, int32, uint32, int64, uint64, float, double, text
    /// One that is left out: INT96, decimals, bytes that are no text.
    case other
}

/// The schema: fields in depth-first order, made into a tree.
struct ParquetSchema {
    /// Fields of a row.
    private(set) var fields: [ParquetField] = []
    /// Highest levels of each column.
    private(set) var levels: [(definition: Int, repetition: Int)] = []
    private(set) var types: [ParquetColumnType] = []

    private let elements: [ThriftValue]
    private let file: String?
    private var position = 1
    private static let deepest = 24

    init(_ elements: [ThriftValue], file: String?) throws {
        (self.elements, self.file) = (elements, file)
        guard let root = elements.first, let count = root[5]?.integer, count >= 0 else {
            throw fault("it has no fields")
        }
        fields = try children(count, definition: 0, repetition: 0, depth: 0)
    }

    private mutating func children(
        _ count: Int, definition: Int, repetition: Int, depth: Int
    ) throws -> [ParquetField] {
        guard depth < Self.deepest, count <= elements.count - position else {
            throw fault("its fields don't fit")
        }
        return try (0..<count).map { _ in
            try field(definition: definition, repetition: repetition, depth: depth)
        }
    }

    private mutating func field(definition: Int, repetition: Int, depth: Int) throws -> ParquetField
    {
        guard position < elements.count else { throw fault("it ends early") }
        let element = elements[position]
        position += 1
        guard let name = element[4]?.string,
            let kind = ParquetField.Repetition(rawValue: element[3]?.integer ?? 0)
        else { throw fault("a field without a name") }
        let (definition, repetition) = (
            definition + (kind == .required ? 0 : 1), repetition + (kind == .repeated ? 1 : 0)
        )
        let first = types.count
        func made(_ content: ParquetField.Kind) -> ParquetField {
            ParquetField(
                name: name, repetition: kind, kind: content, definition: definition,
                repetitions: repetition, columns: first..<types.count)
        }
        guard let count = element[5]?.integer, count > 0 else {
            levels.append((definition, repetition))
            types.append(Self.type(element))
            return made(.column(Self.type(element), column: first))
        }
        let fields = try children(
            count, definition: definition, repetition: repetition, depth: depth + 1)
        let list = 3
        let isList = element[6]?.integer == list || element[10]?[list] != nil
        if isList, fields.count == 1, fields[0].repetition == .repeated {
            return made(.list(Self.element(fields[0], of: name)))
        }
        return made(.group(fields))
    }

    /// The repeated child of a list holds the element as its one field, unless an old writer made it the element itself.
    private static func element(_ repeated: ParquetField, of list: String) -> ParquetField {
        guard case .group(let fields) = repeated.kind, fields.count == 1,
            repeated.name != "array", repeated.name != list + "_tuple"
        else { return repeated }
        var wrapper = repeated
        wrapper.kind = .list(fields[0])
        return wrapper
    }

    private static func type(_ element: ThriftValue) -> ParquetColumnType {
        let converted = element[6]?.integer
        let logical = element[10]
        let (decimal, unsigned32, unsigned64) = (5, 11...13, 14)
        if converted == decimal || logical?[5] != nil { return .other }
        let isUnsigned = logical?[10]?[2]?.bool == false
        switch element[1]?.integer {
        case 0: return .boolean
        case 1: return isUnsigned || converted.map(unsigned32.contains) == true ? .uint32 : .int32
        case 2: return isUnsigned || converted == unsigned64 ? .uint64 : .int64
        case 4: return .float
        case 5: return .double
        case 6:
            // UTF8, ENUM and JSON, as converted and as logical types.
            let isText =
                [0, 4, 19].contains(converted ?? -1)
                || [1, 4, 12].contains { logical?[$0] != nil }
            return isText ? .text : .other
        default: return .other
        }
    }

    private func fault(_ problem: String) -> InputError {
        InputError("damaged Parquet schema: \(problem)", file: file, remedy: "fetch the file again")
    }
}
