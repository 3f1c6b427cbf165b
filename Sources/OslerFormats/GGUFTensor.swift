/// A tensor inside a GGUF file, its rows in blocks of quantized values. A value that keeps the
/// file mapped.
package struct GGUFTensor: WeightTensor {
    package let name: String
    package let type: GGUFType
    /// Row-major: GGUF's own order of extents reversed.
    package let shape: [Int]
    package let file: MappedFile
    /// Where its bytes are in the file; checked against the file, the type and the shape.
    package let byteRange: Range<Int>

    /// The raw blocks; the pointer is valid inside `body` only and may be unaligned.
    package func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try file.withBytes { try body(UnsafeRawBufferPointer(rebasing: $0[byteRange])) }
    }

    package func release() { file.release(byteRange) }

    /// Dequantized, with float32 arithmetic in the order of gguf-py, so to the same bits.
    package func copy(rows: Range<Int>, to output: UnsafeMutableBufferPointer<Float>) throws {
        check(rows, output.count)
        if output.isEmpty { return }
        guard columns % type.blockCount == 0 else {
            throw InputError(
                "is a vector quantized as \(type.name), which has no rows of whole blocks",
                file: file.path, field: name, remedy: "take a file of another quantization")
        }
        let rowBytes = columns / type.blockCount * type.blockBytes
        let isRead = withBytes {
            let part = $0[(rows.lowerBound * rowBytes)..<(rows.upperBound * rowBytes)]
            return GGUFDequantize.run(type, UnsafeRawBufferPointer(rebasing: part), output)
        }
        guard isRead else {
            let known = GGUFDequantize.known.map(\.name).joined(separator: ", ")
            throw InputError(
                "is quantized as \(type.name), which Osler can't read; it reads \(known)",
                file: file.path, field: name, remedy: "take a file of another quantization")
        }
    }
}

/// The rows of a query or key projection in the order that transformers has them.
///
/// llama.cpp rotates neighbouring rows of a head, transformers rows half a head apart; its
/// converter interleaves the two halves of every head, and this undoes it. Works for weights and
/// for biases.
package struct UnpermutedTensor: WeightTensor {
    private let base: any WeightTensor
    private let headWidth: Int

    /// - Throws: `InputError` when the rows aren't `headCount` heads of an even width.
    package init(_ base: any WeightTensor, headCount: Int) throws {
        guard headCount > 0, base.rowCount % headCount == 0, base.rowCount / headCount % 2 == 0
        else {
            throw InputError(
                "\(base.shape) has no \(headCount) heads of an even width", field: base.name)
        }
        (self.base, headWidth) = (base, base.rowCount / headCount)
    }

    package var name: String { base.name }
    package var shape: [Int] { base.shape }
    package func release() { base.release() }

    package func copy(rows: Range<Int>, to output: UnsafeMutableBufferPointer<Float>) throws {
        check(rows, output.count)
        let columns = columns
        for (place, row) in rows.enumerated() {
            let (head, inside) = row.quotientAndRemainder(dividingBy: headWidth)
            let (half, pair) = inside.quotientAndRemainder(dividingBy: headWidth / 2)
            let source = head * headWidth + 2 * pair + half
            try base.copy(
                rows: source..<(source + 1),
                to: UnsafeMutableBufferPointer(
                    rebasing: output[(place * columns)..<((place + 1) * columns)]))
        }
    }
}
