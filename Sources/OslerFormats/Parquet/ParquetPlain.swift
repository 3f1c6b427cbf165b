/// Parquet's plain encoding: values one after the other, texts with their length before them.
enum ParquetPlain {
    static func decode(
        _ bytes: UnsafeRawBufferPointer, _ type: ParquetColumnType, count: Int,
        _ fault: (String) -> InputError
    ) throws -> [JSON] {
        func fixed<Value: BitwiseCopyable>(_: Value.Type, _ make: (Value) -> JSON) throws -> [JSON]
        {
            let size = MemoryLayout<Value>.size
            guard count >= 0, count <= bytes.count / size else { throw fault("a page ends early") }
            return (0..<count).map {
                make(bytes.loadUnaligned(fromByteOffset: $0 * size, as: Value.self))
            }
        }
        switch type {
        case .boolean:
            guard count >= 0, count <= bytes.count * 8 else { throw fault("a page ends early") }
            return (0..<count).map { .bool(bytes[$0 / 8] >> UInt8($0 % 8) & 1 == 1) }
        case .int32: return try fixed(Int32.self) { .integer(Int($0)) }
        case .uint32: return try fixed(UInt32.self) { .integer(Int($0)) }
        case .int64: return try fixed(Int.self) { .integer($0) }
        case .uint64:
            return try fixed(UInt64.self) {
                Int(exactly: $0).map { .integer($0) } ?? .number(Double($0))
            }
        case .float: return try fixed(Float.self) { .number(Double($0)) }
        case .double: return try fixed(Double.self) { .number($0) }
        case .text: return try texts(bytes, count, fault)
        case .other: return []
        }
    }

    private static func texts(
        _ bytes: UnsafeRawBufferPointer, _ count: Int, _ fault: (String) -> InputError
    ) throws -> [JSON] {
        guard count >= 0, count <= bytes.count / 4 else { throw fault("a page ends early") }
        var position = 0
        return try (0..<count).map { _ in
            guard position <= bytes.count - 4 else { throw fault("a page ends early") }
            let size = Int(
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            )
            position += 4
            guard size <= bytes.count - position else { throw fault("a page ends early") }
            let text = String(
                validating: UnsafeRawBufferPointer(rebasing: bytes[position..<(position + size)]),
                as: UTF8.self)
            position += size
            guard let text else { throw fault("a text is not valid UTF-8") }
            return .string(text)
        }
    }
}
