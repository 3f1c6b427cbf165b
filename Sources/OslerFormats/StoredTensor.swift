/// A tensor inside a mapped file: row-major, little-endian. A value that keeps the file mapped.
package struct StoredTensor: Sendable {
    package let name: String
    package let type: StoredType
    package let shape: [Int]
    package let file: MappedFile
    /// Where its bytes are in the file; checked against the file, the type and the shape.
    package let byteRange: Range<Int>

    /// Number of elements.
    package var count: Int { byteRange.count / type.byteWidth }
    /// Extent of the first axis; 1 for a scalar.
    package var rowCount: Int { shape.first ?? 1 }
    /// Elements in one row.
    package var columns: Int { shape.dropFirst().reduce(1, *) }

    /// The raw bytes; the pointer is valid inside `body` only and may be unaligned.
    package func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try file.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0[byteRange])) }
    }

    /// Gives the pages back to the system once the tensor is copied elsewhere.
    package func release() { file.release(byteRange) }

    /// All elements as float32, from any of F32, F16, BF16 and F64.
    package func floats() throws -> [Float] {
        try [Float](unsafeUninitializedCapacity: count) { buffer, filled in
            try copy(to: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            filled = count
        }
    }

    /// Rows `rows` (all by default) as float32, row-major, into `output`.
    ///
    /// - Throws: `InputError` when the tensor doesn't hold floating-point numbers.
    package func copy(
        rows: Range<Int>? = nil, to output: UnsafeMutableBufferPointer<Float>
    ) throws {
        let rows = checked(rows, output.count)
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

    /// Rows `rows` (all by default) as bfloat16 bit patterns, rounded to nearest even.
    ///
    /// - Throws: `InputError` when the tensor doesn't hold floating-point numbers.
    package func copyBFloat16(
        rows: Range<Int>? = nil, to output: UnsafeMutableBufferPointer<UInt16>
    ) throws {
        let rows = checked(rows, output.count)
        if type == .bfloat16 {
            withBytes { UnsafeMutableRawBufferPointer(output).copyMemory(from: slice($0, rows)) }
            return
        }
        var block = [Float](repeating: 0, count: min(output.count, max(columns, 1 << 14)))
        let rowsAtOnce = max(1, block.count / max(columns, 1))
        try block.withUnsafeMutableBufferPointer { block in
            for start in stride(from: rows.lowerBound, to: rows.upperBound, by: rowsAtOnce) {
                let part = start..<min(start + rowsAtOnce, rows.upperBound)
                let values = UnsafeMutableBufferPointer(rebasing: block[..<(part.count * columns)])
                try copy(rows: part, to: values)
                let place = (start - rows.lowerBound) * columns
                FloatConversion.floatToBFloat16(
                    UnsafeBufferPointer(values),
                    UnsafeMutableBufferPointer(rebasing: output[place..<(place + values.count)]))
            }
        }
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

    private func checked(_ rows: Range<Int>?, _ capacity: Int) -> Range<Int> {
        let rows = rows ?? 0..<rowCount
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= rowCount
                && rows.count * columns == capacity,
            "rows \(rows) of \(name) \(shape) into \(capacity) elements")
        return rows
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
