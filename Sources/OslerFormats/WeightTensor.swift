/// A tensor of floating-point numbers in a model file that can be read row by row, whatever its
/// format there: `StoredTensor` (safetensors) and `GGUFTensor`.
package protocol WeightTensor: Sendable {
    /// Its name in the file.
    var name: String { get }
    /// Row-major, last extent fastest, as in safetensors and numpy.
    var shape: [Int] { get }

    /// Rows `rows` of the first axis as float32 into `output`, which has exactly that size.
    ///
    /// - Throws: `InputError` when the elements can't be read as floating-point numbers.
    func copy(rows: Range<Int>, to output: UnsafeMutableBufferPointer<Float>) throws

    /// The same as bfloat16 bit patterns, rounded to nearest even.
    func copyBFloat16(rows: Range<Int>, to output: UnsafeMutableBufferPointer<UInt16>) throws

    /// Gives the file's pages back to the system once the tensor is copied elsewhere.
    func release()
}

extension WeightTensor {
    /// Number of elements.
    package var count: Int { shape.reduce(1, *) }
    /// Extent of the first axis; 1 for a scalar.
    package var rowCount: Int { shape.first ?? 1 }
    /// Elements in one row.
    package var columns: Int { shape.dropFirst().reduce(1, *) }

    /// All elements as float32.
    package func floats() throws -> [Float] {
        let count = count
        return try [Float](unsafeUninitializedCapacity: count) { buffer, filled in
            try copy(
                rows: 0..<rowCount, to: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            filled = count
        }
    }

    package func copyBFloat16(
        rows: Range<Int>, to output: UnsafeMutableBufferPointer<UInt16>
    ) throws {
        try roundBFloat16(rows: rows, to: output)
    }

    /// Through float32, in pieces that stay in the cache.
    func roundBFloat16(rows: Range<Int>, to output: UnsafeMutableBufferPointer<UInt16>) throws {
        check(rows, output.count)
        let columns = columns
        if output.isEmpty { return }
        let rowsAtOnce = max(1, (1 << 14) / columns)
        var block = [Float](repeating: 0, count: min(rowsAtOnce, rows.count) * columns)
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

    func check(_ rows: Range<Int>, _ capacity: Int) {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= rowCount
                && rows.count * columns == capacity,
            "rows \(rows) of \(name) \(shape) into \(capacity) elements")
    }
}
