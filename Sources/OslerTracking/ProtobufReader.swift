/// The fields of a message in Protocol Buffers' wire format, one after the other. It stops at the first thing that is none:
/// who reads a file that was cut off takes what stands before.
package struct ProtobufReader: Sequence, IteratorProtocol {
    package enum Value: Equatable {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(ArraySlice<UInt8>)

        package var integer: Int? {
            if case .varint(let value) = self { Int(Int64(bitPattern: value)) } else { nil }
        }
        package var bytes: ArraySlice<UInt8>? {
            if case .bytes(let bytes) = self { bytes } else { nil }
        }
        package var text: String? { bytes.flatMap { String(validating: $0, as: UTF8.self) } }
        package var double: Double? {
            if case .fixed64(let bits) = self { Double(bitPattern: bits) } else { nil }
        }
        package var float: Float? {
            if case .fixed32(let bits) = self { Float(bitPattern: bits) } else { nil }
        }
    }

    private var rest: ArraySlice<UInt8>

    package init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    package mutating func next() -> (field: Int, value: Value)? {
        guard let tag = varint(), tag >> 3 <= 1 << 29, let value = value(type: tag & 7) else {
            return nil
        }
        return (Int(tag >> 3), value)
    }

    private mutating func value(type: UInt64) -> Value? {
        switch type {
        case 0: varint().map(Value.varint)
        case 1: take(8).map { .fixed64($0.littleEndian()) }
        case 2: varint().flatMap { Int(exactly: $0) }.flatMap { take($0) }.map(Value.bytes)
        case 5: take(4).map { .fixed32($0.littleEndian()) }
        default: nil
        }
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        return nil
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}

extension ProtobufReader {
    /// The first value of a field.
    package static func first(_ field: Int, in bytes: ArraySlice<UInt8>) -> Value? {
        ProtobufReader(bytes).first { $0.field == field }?.value
    }
}

extension ArraySlice<UInt8> {
    /// The bytes as one little-endian number.
    func littleEndian<Number: FixedWidthInteger>() -> Number {
        reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }
}
