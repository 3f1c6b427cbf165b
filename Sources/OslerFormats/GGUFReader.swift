/// Reads a GGUF header. Nothing is allocated by a count from the file that the bytes after it
/// could not hold.
struct GGUFReader {
    struct Header {
        var metadata: JSON.Object
        var tensors: [GGUFTensorEntry]
        var dataStart: Int
    }

    private let bytes: UnsafeRawBufferPointer
    private let path: String
    private var position = 0
    /// Elements of arrays that may still come: one takes more memory than bytes in the file.
    private var elementsLeft = largestElements
    /// What is being read, for errors.
    private var field: String?

    /// Tokens, their types and scores, and merges of the largest vocabularies are a few million.
    private static let largestElements = 1 << 24

    init(_ bytes: UnsafeRawBufferPointer, _ path: String) {
        (self.bytes, self.path) = (bytes, path)
    }

    mutating func header() throws -> Header {
        guard bytes.prefix(4).elementsEqual("GGUF".utf8) else {
            throw failure("does not begin with GGUF", "give a GGUF file")
        }
        position = 4
        let version = try integer(UInt32.self)
        guard version == 2 || version == 3 else {
            throw failure(
                version & 0xFFFF == 0
                    ? "a big-endian GGUF file" : "GGUF version \(version)",
                "Osler reads little-endian versions 2 and 3: convert it again")
        }
        let tensorCount = try integer(UInt64.self)
        let pairCount = try integer(UInt64.self)
        let metadata = try pairs(pairCount)
        let entries = try tensors(tensorCount)
        let alignment = metadata["general.alignment"] ?? 32
        guard let alignment = alignment.integer, alignment > 0, alignment <= 1 << 20 else {
            field = "general.alignment"
            throw failure("is not a sensible alignment")
        }
        let dataStart = (position + alignment - 1) / alignment * alignment
        return Header(metadata: metadata, tensors: entries, dataStart: dataStart)
    }

    private mutating func pairs(_ count: UInt64) throws -> JSON.Object {
        var metadata = JSON.Object()
        var read: UInt64 = 0
        while read < count {
            field = "metadata entry \(read + 1) of \(count)"
            let key = try string()
            field = key
            let type = try integer(UInt32.self)
            metadata[key] = try value(type, depth: 0)
            read += 1
        }
        return metadata
    }

    private mutating func value(_ type: UInt32, depth: Int) throws -> JSON {
        switch type {
        case 0: .integer(Int(try integer(UInt8.self)))
        case 1: .integer(Int(try integer(Int8.self)))
        case 2: .integer(Int(try integer(UInt16.self)))
        case 3: .integer(Int(try integer(Int16.self)))
        case 4: .integer(Int(try integer(UInt32.self)))
        case 5: .integer(Int(try integer(Int32.self)))
        case 6: .number(Double(Float(bitPattern: try integer(UInt32.self))))
        case 7: .bool(try integer(UInt8.self) != 0)
        case 8: .string(try string())
        case 9: try array(depth: depth)
        case 10: Self.json(try integer(UInt64.self))
        case 11: .integer(Int(try integer(Int64.self)))
        case 12: .number(Double(bitPattern: try integer(UInt64.self)))
        default: throw failure("unknown metadata type \(type)")
        }
    }

    private static func json(_ value: UInt64) -> JSON {
        Int(exactly: value).map { .integer($0) } ?? .number(Double(value))
    }

    private mutating func array(depth: Int) throws -> JSON {
        guard depth < 4 else { throw failure("arrays nested deeper than 4 levels") }
        let type = try integer(UInt32.self)
        let count = try integer(UInt64.self)
        // Every element takes a byte at least.
        guard count <= UInt64(bytes.count - position) else {
            throw failure("an array of \(count) elements exceeds the file", "fetch it again")
        }
        elementsLeft -= Int(count)
        guard elementsLeft >= 0 else {
            throw failure("more than \(Self.largestElements) elements in arrays")
        }
        var elements: [JSON] = []
        for _ in 0..<Int(count) { elements.append(try value(type, depth: depth + 1)) }
        return .array(elements)
    }

    private mutating func tensors(_ count: UInt64) throws -> [GGUFTensorEntry] {
        var entries: [GGUFTensorEntry] = []
        while UInt64(entries.count) < count {
            field = "tensor \(entries.count + 1) of \(count)"
            let name = try string()
            field = name
            let axes = try integer(UInt32.self)
            guard axes <= 4 else { throw failure("\(axes) dimensions, at most 4 are allowed") }
            var shape: [Int] = []
            for _ in 0..<axes {
                let extent = try integer(UInt64.self)
                shape.insert(Int(exactly: extent) ?? -1, at: 0)
            }
            let code = try integer(UInt32.self)
            guard let type = GGUFType(code) else { throw failure("unknown tensor type \(code)") }
            let offset = try integer(UInt64.self)
            entries.append(GGUFTensorEntry(name: name, type: type, shape: shape, offset: offset))
        }
        field = nil
        return entries
    }

    private mutating func integer<T: FixedWidthInteger>(_: T.Type) throws -> T {
        guard bytes.count - position >= MemoryLayout<T>.size else { throw cut() }
        defer { position += MemoryLayout<T>.size }
        return T(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    /// Invalid UTF-8 is repaired: some vocabularies hold bare bytes.
    private mutating func string() throws -> String {
        let length = try integer(UInt64.self)
        guard length <= UInt64(bytes.count - position) else { throw cut() }
        let end = position + Int(length)
        defer { position = end }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    private func cut() -> InputError {
        failure("the header ends early, at byte \(bytes.count)", "the file is cut: fetch it again")
    }

    private func failure(_ problem: String, _ remedy: String? = nil) -> InputError {
        InputError(problem, file: path, field: field, remedy: remedy)
    }
}
