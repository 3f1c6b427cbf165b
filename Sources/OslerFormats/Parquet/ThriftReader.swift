/// A value of Thrift's compact protocol, which Parquet's headers are written in.
enum ThriftValue {
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case bytes(UnsafeRawBufferPointer)
    case list([ThriftValue])
    /// Fields by their numbers.
    case structure([Int: ThriftValue])

    subscript(field: Int) -> ThriftValue? {
        if case .structure(let fields) = self { fields[field] } else { nil }
    }
    var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    var integer: Int? { if case .integer(let value) = self { value } else { nil } }
    var list: [ThriftValue]? { if case .list(let values) = self { values } else { nil } }
    var string: String? {
        if case .bytes(let bytes) = self { String(validating: bytes, as: UTF8.self) } else { nil }
    }
}

/// Reads Thrift's compact protocol. What it takes is bounded by the bytes that it is given.
struct ThriftReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0
    private let file: String?
    private static let deepest = 32

    init(_ bytes: UnsafeRawBufferPointer, file: String?) {
        (self.bytes, self.file) = (bytes, file)
    }

    mutating func structure() throws -> ThriftValue { try structure(depth: 0) }

    private enum Kind: UInt8 {
        case yes = 1, no, int8, int16, int32, int64, double, binary, list, set, map, structure
    }

    private mutating func structure(depth: Int) throws -> ThriftValue {
        guard depth < Self.deepest else { throw fault("nested too deeply") }
        var fields: [Int: ThriftValue] = [:]
        var field = 0
        while true {
            let header = try byte()
            if header == 0 { return .structure(fields) }
            let step = Int(header >> 4)
            field = step == 0 ? try zigzag() : field + step
            guard (0...Int(Int16.max)).contains(field) else { throw fault("a wrong field number") }
            fields[field] = try value(header & 15, depth: depth + 1)
        }
    }

    private mutating func value(_ code: UInt8, depth: Int, inList: Bool = false) throws
        -> ThriftValue
    {
        guard let kind = Kind(rawValue: code) else { throw fault("an unknown type") }
        switch kind {
        case .yes, .no: return .bool(inList ? try byte() == 1 : kind == .yes)
        case .int8: return .integer(Int(Int8(bitPattern: try byte())))
        case .int16, .int32, .int64: return .integer(try zigzag())
        case .double:
            let bits = try take(8).loadUnaligned(as: UInt64.self)
            return .number(Double(bitPattern: UInt64(littleEndian: bits)))
        case .binary: return .bytes(try take(try count()))
        case .list, .set: return .list(try list(depth: depth))
        case .map: return .list(try map(depth: depth))
        case .structure: return try structure(depth: depth)
        }
    }

    private mutating func list(depth: Int) throws -> [ThriftValue] {
        guard depth < Self.deepest else { throw fault("nested too deeply") }
        let header = try byte()
        let count = header >> 4 == 15 ? try count() : Int(header >> 4)
        // Each element takes a byte at least.
        guard count <= bytes.count - position else { throw fault("a list that is too long") }
        var values: [ThriftValue] = []
        values.reserveCapacity(count)
        for _ in 0..<count {
            values.append(try value(header & 15, depth: depth + 1, inList: true))
        }
        return values
    }

    private mutating func map(depth: Int) throws -> [ThriftValue] {
        guard depth < Self.deepest else { throw fault("nested too deeply") }
        let count = try count()
        guard count > 0 else { return [] }
        let types = try byte()
        guard count <= bytes.count - position else { throw fault("a map that is too long") }
        var values: [ThriftValue] = []
        for _ in 0..<count {
            values.append(try value(types >> 4, depth: depth + 1, inList: true))
            values.append(try value(types & 15, depth: depth + 1, inList: true))
        }
        return values
    }

    private mutating func byte() throws -> UInt8 {
        guard position < bytes.count else { throw fault("it ends early") }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func take(_ count: Int) throws -> UnsafeRawBufferPointer {
        guard count <= bytes.count - position else { throw fault("it ends early") }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    }

    private mutating func count() throws -> Int {
        guard let count = Int(exactly: try variable()) else { throw fault("a wrong length") }
        return count
    }

    private mutating func zigzag() throws -> Int {
        let value = try variable()
        return Int(bitPattern: UInt(value >> 1)) ^ -Int(value & 1)
    }

    private mutating func variable() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let next = try byte()
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return value }
        }
        throw fault("a number that does not end")
    }

    private func fault(_ problem: String) -> InputError {
        InputError("damaged Parquet header: \(problem)", file: file, remedy: "fetch the file again")
    }
}
