internal import COslerKernels

/// The 4-bit normal-float format of QLoRA (Dettmers et al. 2023, section 3), as bitsandbytes' CUDA
/// code stores it.
package enum NF4 {
    /// What the codes 0...15 stand for, in units of a block's largest magnitude.
    package static let table: [Float] = [
        -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
        0.7229568362236023, 1,
    ]

    /// Quantizes a float32 or bfloat16 matrix in host memory to NF4, in new host memory.
    ///
    /// The flattened matrix is cut in blocks of `blockSize`; every value divided by its block's
    /// largest magnitude gets the nearest code, the lower one in a tie. `doubleQuantized` keeps the
    /// scales as 8-bit codes of `scale - mean(scales)` in blocks of 256. 0.5 bytes a value and 4
    /// (1.016) a block.
    /// One thread at a time may use `pool`.
    /// - Throws: `ComputeError` when memory runs out.
    package static func quantize(
        _ values: Tensor, doubleQuantized: Bool, blockSize: Int = 64, on pool: ThreadPool
    ) throws -> NF4Matrix {
        precondition(values.dtype.isFloat && blockSize > 0 && blockSize % 2 == 0)
        let count = values.count
        let blocks = (count + blockSize - 1) / blockSize
        let codes = try host(.uint8, (count + 1) / 2)
        let absmax = try host(.float32, blocks)
        let scales = absmax.elements(as: Float.self)
        pool.runPieces(of: count, grain: blockSize * grain) { range, _ in
            kernels.pointee.nf4_quantize(
                values.address + range.lowerBound * values.dtype.byteWidth,
                values.dtype == .bfloat16, range.count, blockSize,
                codes.elements(as: UInt8.self).baseAddress! + range.lowerBound / 2,
                scales.baseAddress! + range.lowerBound / blockSize)
        }
        var (kept, nested) = (absmax, NF4Matrix.Nested?.none)
        if doubleQuantized { (kept, nested) = try quantizedScales(scales, on: pool) }
        return NF4Matrix(
            rows: values.rowCount, columns: values.columns, blockSize: blockSize, codes: codes,
            absmax: kept, nested: nested)
    }

    /// Blocks that a thread takes at a time.
    private static let grain = 512

    private static func quantizedScales(
        _ scales: UnsafeMutableBufferPointer<Float>, on pool: ThreadPool
    ) throws -> (Tensor, NF4Matrix.Nested) {
        let offset = Float(sum(scales, on: pool) / Double(scales.count))
        let absmax = try host(.float32, (scales.count + 255) / 256)
        let codes = try host(.uint8, scales.count)
        pool.runPieces(of: scales.count, grain: 256 * 16) { range, _ in
            quantize8bit(
                UnsafeMutableBufferPointer(rebasing: scales[range]), offset: offset, signed: true,
                codes: codes.rows(range),
                absmax: absmax.rows(range.lowerBound / 256..<(range.upperBound + 255) / 256))
        }
        let table = try host(.float32, 256)
        _ = table.elements(as: Float.self).initialize(from: DynamicMap.signed)
        return (codes, NF4Matrix.Nested(absmax: absmax, table: table, offset: offset))
    }

    /// bitsandbytes' blockwise 8-bit quantization of `values - offset` to a dynamic map, blocks of
    /// 256.
    package static func quantize8bit(
        _ values: UnsafeMutableBufferPointer<Float>, offset: Float = 0, signed: Bool, absmax: Tensor
    ) throws -> Tensor {
        let codes = try host(.uint8, values.count)
        quantize8bit(values, offset: offset, signed: signed, codes: codes, absmax: absmax)
        return codes
    }

    private static func quantize8bit(
        _ values: UnsafeMutableBufferPointer<Float>, offset: Float, signed: Bool, codes: Tensor,
        absmax: Tensor
    ) {
        precondition(codes.count == values.count && absmax.count == (values.count + 255) / 256)
        guard let base = values.baseAddress, !values.isEmpty else { return }
        kernels.pointee.quantize_8bit(
            base, offset, values.count, 256,
            (signed ? KernelMap.signed : KernelMap.unsigned).pointer,
            codes.elements(as: UInt8.self).baseAddress!,
            absmax.elements(as: Float.self).baseAddress!)
    }

    /// In double precision, by pieces of one size: the same for any number of threads.
    private static func sum(
        _ values: UnsafeMutableBufferPointer<Float>, on pool: ThreadPool
    ) -> Double {
        let size = 1 << 14
        let sums = UnsafeMutableBufferPointer<Double>.allocate(
            capacity: (values.count + size - 1) / size)
        defer { sums.deallocate() }
        pool.runPieces(of: values.count, grain: size) { range, _ in
            sums[range.lowerBound / size] = values[range].reduce(0.0) { $0 + Double($1) }
        }
        return sums.reduce(0, +)
    }

    /// All values, rounded once to the type of `output` (float32 or bfloat16 `[rows, columns]`,
    /// host memory).
    package static func dequantize(_ matrix: NF4Matrix, into output: Tensor, on pool: ThreadPool) {
        let (count, blockSize) = (matrix.rows * matrix.columns, matrix.blockSize)
        precondition(output.count == count && output.dtype.isFloat)
        let codes = matrix.codes.elements(as: UInt8.self)
        pool.runPieces(of: count, grain: blockSize * 512) { range, _ in
            let first = range.lowerBound / blockSize
            let blocks = first..<first + (range.count + blockSize - 1) / blockSize
            let scales = blocks.map { matrix.scale(ofBlock: $0) }
            kernels.pointee.nf4_dequantize(
                codes.baseAddress! + range.lowerBound / 2, scales, range.count, blockSize,
                output.address + range.lowerBound * output.dtype.byteWidth,
                output.dtype == .bfloat16)
        }
    }

    private static var kernels: UnsafePointer<ok_elementwise> { ok_elementwise_for(ok_isa_best()) }

    private static func host(_ dtype: DType, _ count: Int) throws -> Tensor {
        let storage = try HostStorage.allocate(byteCount: count * dtype.byteWidth)
        return Tensor(storage: storage, dtype: dtype, shape: [count])
    }
}

extension NF4Matrix {
    /// The scale of block `block`, decoded when it is kept as an 8-bit code. For host memory.
    package func scale(ofBlock block: Int) -> Float {
        guard let nested else { return absmax.elements(as: Float.self)[block] }
        let code = Int(absmax.elements(as: UInt8.self)[block])
        return nested.table.elements(as: Float.self)[code]
            * nested.absmax.elements(as: Float.self)[block / nested.blockSize] + nested.offset
    }

    /// All values in float32, row-major: table value times scale, rounded once. Plain and slow; for
    /// host memory.
    package func values() -> [Float] {
        let codes = codes.elements(as: UInt8.self)
        return (0..<rows * columns).map { i in
            let code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15
            return NF4.table[Int(code)] * scale(ofBlock: i / blockSize)
        }
    }
}
