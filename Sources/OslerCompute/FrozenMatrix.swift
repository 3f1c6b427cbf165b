/// A matrix operand `[rows, columns]`, row-major: a frozen weight `[out, in]` in the form in which it is kept, or any
/// dense float tensor (a LoRA matrix, an activation).
package enum FrozenMatrix: Sendable {
    /// float32, bfloat16, or float16 in that precision.
    case dense(Tensor)
    case nf4(NF4Matrix)

    package var rows: Int {
        switch self {
        case .dense(let tensor): tensor.rowCount
        case .nf4(let matrix): matrix.rows
        }
    }
    package var columns: Int {
        switch self {
        case .dense(let tensor): tensor.columns
        case .nf4(let matrix): matrix.columns
        }
    }
    /// The device of a `DeviceGroup` that it lies on.
    package var place: Int {
        switch self {
        case .dense(let tensor): tensor.storage.place
        case .nf4(let matrix): matrix.codes.storage.place
        }
    }
    package var byteCount: Int {
        switch self {
        case .dense(let tensor): tensor.byteCount
        case .nf4(let matrix): matrix.byteCount
        }
    }
}

/// A matrix in bitsandbytes' NF4 format (QLoRA, Dettmers et al. 2023, section 3), byte for byte as it is stored on disk.
///
/// Blocks of `blockSize` (64) values run over the flattened matrix. Value `i` has a 4-bit code in `codes[i / 2]`, the
/// even one in the high half; it is `NF4.table[code] * absmax(i / blockSize)`.
/// With double quantization `absmax(b) = nested.table[absmaxCodes[b]] * nested.absmax[b / 256] + nested.offset`.
/// A class, because every operation is handed one, and its four tensors would be counted each time.
package final class NF4Matrix: Sendable {
    package struct Nested: Sendable {
        /// float32, one per `blockSize` (256) absmax codes.
        package let absmax: Tensor
        /// The 256 values of the signed dynamic map, float32.
        package let table: Tensor
        package let offset: Float
        package let blockSize: Int
        package init(absmax: Tensor, table: Tensor, offset: Float, blockSize: Int = 256) {
            (self.absmax, self.table, self.offset, self.blockSize) = (
                absmax, table, offset, blockSize
            )
        }
    }

    package let rows: Int
    package let columns: Int
    package let blockSize: Int
    /// uint8, `ceil(rows * columns / 2)`.
    package let codes: Tensor
    /// float32 scales, or uint8 codes of them when `nested` is set; one per block.
    package let absmax: Tensor
    package let nested: Nested?

    package init(
        rows: Int, columns: Int, blockSize: Int = 64, codes: Tensor, absmax: Tensor, nested: Nested?
    ) {
        (self.rows, self.columns, self.blockSize) = (rows, columns, blockSize)
        (self.codes, self.absmax, self.nested) = (codes, absmax, nested)
    }

    package var byteCount: Int {
        codes.byteCount + absmax.byteCount + (nested?.absmax.byteCount ?? 0)
    }
}
