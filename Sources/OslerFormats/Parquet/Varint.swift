/// A number of up to 32 bits in groups of 7, the lowest first (LEB128), as Parquet's levels and Snappy's lengths are; nil
/// where the bytes end too soon.
func varint(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) -> Int? {
    var value = 0
    for shift in stride(from: 0, to: 35, by: 7) {
        guard position < bytes.count else { return nil }
        let next = bytes[position]
        position += 1
        value |= Int(next & 0x7F) << shift
        if next < 0x80 { return value }
    }
    return nil
}
