/// A tensor inside a mapped file: row-major, little-endian. A value that keeps the file mapped.
package struct StoredTensor: WeightTensor {
    package let name: String
    package let type: StoredType
    package let shape: [Int]
    package let file: MappedFile
    /// Where its bytes are in the file; checked against the file, the type and the shape.
    package let byteRange: Range<Int>

    /// The raw bytes; the pointer is valid inside `body` only and may be unaligned.
    package func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try file.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0[byteRange])) }
    }

    /// Gives the pages back to the system once the tensor is copied elsewhere.
    package func release() { file.release(byteRange) }

    /// From any of F32, F16, BF16 and F64.
    package func copy(rows: Range<Int>, to output: UnsafeMutableBufferPointer<Float>) throws {
        check(rows, output.count)
        try withBytes { bytes in
            let source = slice(bytes, rows)
            switch type {
            case .float32: UnsafeMutableRawBufferPointer(output).copyMemory(from: source)
            case .float16: FloatConversion.float16ToFloat(source, output)
            case .bfloat16: FloatConversion.bfloat16ToFloat(source, output)
            case .float64: FloatConversion.doubleToFloat(source, output)
            default: throw notFloating()
            }
        }
    }

    package func copyBFloat16(
        rows: Range<Int>, to output: UnsafeMutableBufferPointer<UInt16>
    ) throws {
        guard type == .bfloat16 else { return try roundBFloat16(rows: rows, to: output) }
        check(rows, output.count)
        withBytes { UnsafeMutableRawBufferPointer(output).copyMemory(from: slice($0, rows)) }
    }

    /// All elements of an integer or boolean tensor.
    package func integers() throws -> [Int] {
        try withBytes { bytes in
            func load<T: FixedWidthInteger>(_: T.Type) -> [Int] {
                (0..<count).map {
                    Int(
                        truncatingIfNeeded: bytes.loadUnaligned(
                            fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self))
                }
            }
            switch type {
            case .bool, .uint8: return load(UInt8.self)
            case .int8: return load(Int8.self)
            case .int16: return load(Int16.self)
            case .uint16: return load(UInt16.self)
            case .int32: return load(Int32.self)
            case .uint32: return load(UInt32.self)
            case .int64: return load(Int64.self)
            case .uint64: return load(UInt64.self)
            default:
                throw InputError(
                    "holds \(type.rawValue), expected integers", file: file.path, field: name)
            }
        }
    }

    private func slice(_ bytes: UnsafeRawBufferPointer, _ rows: Range<Int>)
        -> UnsafeRawBufferPointer
    {
        let width = columns * type.byteWidth
        return UnsafeRawBufferPointer(
            rebasing: bytes[(rows.lowerBound * width)..<(rows.upperBound * width)])
    }

    private func notFloating() -> InputError {
        InputError(
            "holds \(type.rawValue), expected one of F32, F16, BF16, F64", file: file.path,
            field: name)
    }
}
