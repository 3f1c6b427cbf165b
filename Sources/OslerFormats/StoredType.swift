/// The element format of a tensor in a safetensors file, named as in its header. The order is
/// that of the reference library, which sorts the tensors of a file by it.
package enum StoredType: String, Sendable, Hashable, CaseIterable {
    case bool = "BOOL"
    case uint8 = "U8"
    case int8 = "I8"
    case float8e5m2 = "F8_E5M2"
    case float8e4m3 = "F8_E4M3"
    case float8e8m0 = "F8_E8M0"
    case int16 = "I16"
    case uint16 = "U16"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case int32 = "I32"
    case uint32 = "U32"
    case float32 = "F32"
    case complex64 = "C64"
    case float64 = "F64"
    case int64 = "I64"
    case uint64 = "U64"

    package var byteWidth: Int {
        switch self {
        case .bool, .uint8, .int8, .float8e5m2, .float8e4m3, .float8e8m0: 1
        case .int16, .uint16, .float16, .bfloat16: 2
        case .int32, .uint32, .float32: 4
        case .complex64, .float64, .int64, .uint64: 8
        }
    }

    /// Place in the reference library's order.
    var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// The number of elements of `shape`; nil when an extent is negative or a product of extents, in
/// whatever order, overflows.
func elementCount(_ shape: [Int]) -> Int? {
    var product = 1
    for extent in shape {
        guard extent >= 0 else { return nil }
        let (next, overflow) = product.multipliedReportingOverflow(by: max(extent, 1))
        if overflow { return nil }
        product = next
    }
    return shape.contains(0) ? 0 : product
}
