/// Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding), as far as trackers need it. Fields are
/// written by number, in the order of the calls; empty values are left out as proto3 does.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    private enum WireType: UInt64 {
        case varint = 0
        case fixed64 = 1
        case lengthDelimited = 2
        case fixed32 = 5
    }

    private mutating func tag(_ field: Int, _ type: WireType) {
        varint(UInt64(field) << 3 | type.rawValue)
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func littleEndian(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }

    /// An int32, int64 or enum.
    mutating func integer(_ field: Int, _ value: Int) {
        guard value != 0 else { return }
        tag(field, .varint)
        varint(UInt64(bitPattern: Int64(value)))
    }

    mutating func bool(_ field: Int, _ value: Bool) { integer(field, value ? 1 : 0) }

    mutating func double(_ field: Int, _ value: Double) {
        guard value != 0 else { return }
        tag(field, .fixed64)
        littleEndian(value.bitPattern)
    }

    /// A float in a `oneof`: written when it is zero, too.
    mutating func chosenFloat(_ field: Int, _ value: Float) {
        tag(field, .fixed32)
        littleEndian(value.bitPattern)
    }

    mutating func text(_ field: Int, _ value: String) {
        if !value.isEmpty { raw(field, value.utf8) }
    }

    /// One element of a repeated text; an empty one counts.
    mutating func element(_ field: Int, _ value: String) { raw(field, value.utf8) }

    mutating func message(_ field: Int, _ body: (inout ProtobufWriter) -> Void) {
        var inner = ProtobufWriter()
        body(&inner)
        raw(field, inner.bytes)
    }

    private mutating func raw(_ field: Int, _ content: some Collection<UInt8>) {
        tag(field, .lengthDelimited)
        varint(UInt64(content.count))
        bytes += content
    }
}
