internal import COslerKernels

/// Ops that pass over memory once. Pieces of a fixed number of elements or rows go to the threads.
extension CPUBackend {
    /// Elements in a piece: enough to be worth handing out, and at most half a second-level cache.
    private static var grain: Int { 1 << 15 }

    var kernels: UnsafePointer<ok_elementwise> { ok_elementwise_for(ok_isa(isa.rawValue)) }

    /// Pieces of about `grain` elements out of rows of `width`.
    private func forRows(_ rows: Int, width: Int, _ body: (Range<Int>) -> Void) {
        pool.runPieces(of: rows, grain: max(1, Self.grain / max(width, 1))) { range, _ in
            body(range)
        }
    }

    package func copy(_ source: Tensor, to destination: Tensor) {
        precondition(source.count == destination.count, "\(source.shape) to \(destination.shape)")
        if source.dtype != destination.dtype {
            precondition(source.dtype.isFloat && destination.dtype.isFloat)
            forRows(source.count, width: 1) { range in
                kernels.pointee.copy(
                    source.address(of: range.lowerBound), source.isBF16,
                    destination.address(of: range.lowerBound), destination.isBF16, range.count)
            }
        } else {
            pool.runPieces(of: source.byteCount, grain: 1 << 17) { range, _ in
                (destination.address + range.lowerBound).copyMemory(
                    from: source.address + range.lowerBound, byteCount: range.count)
            }
        }
    }

    package func add(_ input: Tensor, to output: Tensor) {
        precondition(input.count == output.count, "\(input.shape) to \(output.shape)")
        forRows(input.count, width: 1) { range in
            kernels.pointee.add(
                input.address(of: range.lowerBound), input.isBF16,
                output.address(of: range.lowerBound), output.isBF16, range.count)
        }
    }

    package func embed(ids: Tensor, table: Tensor, into output: Tensor) {
        gatherRows(table, rows: ids, into: output)
    }

    package func gatherRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        precondition(output.rowCount == rows.count && output.columns == input.columns)
        let (width, indices) = (input.columns, checked(rows, below: input.rowCount))
        forRows(rows.count, width: width) { range in
            for i in range {
                copyRow(
                    from: input.address(of: Int(indices[i]) * width), input.dtype,
                    to: output.address(of: i * width), output.dtype, width)
            }
        }
    }

    package func scatterRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        precondition(input.rowCount == rows.count && output.columns == input.columns)
        let (width, indices) = (input.columns, checked(rows, below: output.rowCount))
        forRows(rows.count, width: width) { range in
            for i in range {
                copyRow(
                    from: input.address(of: i * width), input.dtype,
                    to: output.address(of: Int(indices[i]) * width), output.dtype, width)
            }
        }
    }

    private func copyRow(
        from source: UnsafeMutableRawPointer, _ sourceType: DType,
        to destination: UnsafeMutableRawPointer, _ destinationType: DType, _ width: Int
    ) {
        if sourceType == destinationType {
            destination.copyMemory(from: source, byteCount: width * sourceType.byteWidth)
        } else {
            precondition(sourceType.isFloat && destinationType.isFloat)
            kernels.pointee.copy(
                source, sourceType == .bfloat16, destination, destinationType == .bfloat16, width)
        }
    }

    /// int32 elements, all proven to be indices below `limit`.
    private func checked(_ indices: Tensor, below limit: Int) -> UnsafeMutableBufferPointer<Int32> {
        precondition(indices.dtype == .int32)
        let values = indices.elements(as: Int32.self)
        precondition(
            values.allSatisfy { $0 >= 0 && Int($0) < limit }, "an index is not below \(limit)")
        return values
    }

    package func rmsNorm(
        _ input: Tensor, weight: Tensor, epsilon: Float, output: Tensor, inverseRMS: Tensor
    ) {
        let width = input.columns
        precondition(output.count == input.count && weight.count == width)
        precondition(inverseRMS.count == input.rowCount)
        let (weights, inverses) = (weight.floats, inverseRMS.floats)
        forRows(input.rowCount, width: width) { range in
            kernels.pointee.rms_norm(
                input.address(of: range.lowerBound * width), input.isBF16, weights, epsilon,
                range.count, width, output.address(of: range.lowerBound * width), output.isBF16,
                inverses + range.lowerBound)
        }
    }

    package func rmsNormBackward(
        _ outputGradient: Tensor, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        accumulating: Bool, inputGradient: Tensor
    ) {
        let width = input.columns
        precondition(outputGradient.count == input.count && inputGradient.count == input.count)
        precondition(weight.count == width && inverseRMS.count == input.rowCount)
        let (weights, inverses) = (weight.floats, inverseRMS.floats)
        forRows(input.rowCount, width: width) { range in
            let start = range.lowerBound * width
            kernels.pointee.rms_norm_backward(
                outputGradient.address(of: start), outputGradient.isBF16, input.address(of: start),
                input.isBF16, weights, inverses + range.lowerBound, range.count, width,
                accumulating, inputGradient.address(of: start), inputGradient.isBF16)
        }
    }

    package func rope(
        _ heads: Tensor, positions: Tensor, cosine: Tensor, sine: Tensor, inverse: Bool
    ) {
        let (headCount, half) = (heads.shape[1], heads.shape[2] / 2)
        precondition(heads.shape[2] == 2 * half && positions.count == heads.shape[0])
        precondition(cosine.columns == half && sine.shape == cosine.shape)
        let (cosines, sines) = (cosine.floats, sine.floats)
        let indices = checked(positions, below: cosine.rowCount)
        forRows(heads.shape[0], width: heads.columns) { range in
            kernels.pointee.rope(
                heads.address(of: range.lowerBound * heads.columns), heads.isBF16,
                indices.baseAddress! + range.lowerBound, cosines, sines, inverse, range.count,
                headCount, half)
        }
    }

    package func swiglu(gate: Tensor, up: Tensor, output: Tensor) {
        let tensors = [gate, up, output]
        precondition(tensors.allSatisfy { $0.count == gate.count && $0.dtype == gate.dtype })
        forRows(gate.count, width: 1) { range in
            let start = range.lowerBound
            kernels.pointee.swiglu(
                gate.address(of: start), up.address(of: start), output.address(of: start),
                gate.isBF16, range.count)
        }
    }

    package func swigluBackward(
        _ outputGradient: Tensor, gate: Tensor, up: Tensor, gateGradient: Tensor, upGradient: Tensor
    ) {
        let tensors = [outputGradient, gate, up, gateGradient, upGradient]
        precondition(tensors.allSatisfy { $0.count == gate.count && $0.dtype == gate.dtype })
        forRows(gate.count, width: 1) { range in
            let start = range.lowerBound
            kernels.pointee.swiglu_backward(
                outputGradient.address(of: start), gate.address(of: start), up.address(of: start),
                gateGradient.address(of: start), upGradient.address(of: start), gate.isBF16,
                range.count)
        }
    }

    package func dropout(_ input: Tensor, probability: Float, key: DropoutKey, output: Tensor) {
        dropout(input, probability, key, adding: false, output)
    }

    package func addDropout(
        _ input: Tensor, probability: Float, key: DropoutKey, to output: Tensor
    ) {
        dropout(input, probability, key, adding: true, output)
    }

    private func dropout(
        _ input: Tensor, _ probability: Float, _ key: DropoutKey, adding: Bool, _ output: Tensor
    ) {
        precondition(input.count == output.count, "\(input.shape) to \(output.shape)")
        let threshold = DropoutKey.threshold(probability)
        let scale = Float(1 / (1 - Double(probability)))
        // `grain` is a multiple of the 64 elements that one run of the generator serves.
        forRows(input.count, width: 1) { range in
            kernels.pointee.dropout(
                input.address(of: range.lowerBound), input.isBF16, threshold, scale, key.seed,
                key.stream, range.lowerBound, range.count, adding,
                output.address(of: range.lowerBound), output.isBF16)
        }
    }
}

extension DType {
    var isFloat: Bool { self == .float32 || self == .bfloat16 }
}

extension Tensor {
    /// For ops that take both float types.
    fileprivate var isBF16: Bool {
        precondition(dtype.isFloat, "\(dtype) elements in an op on numbers")
        return dtype == .bfloat16
    }
    fileprivate func address(of element: Int) -> UnsafeMutableRawPointer {
        address + element * dtype.byteWidth
    }
    fileprivate var floats: UnsafeMutablePointer<Float> {
        precondition(dtype == .float32, "\(dtype) where float32 is due")
        return address.assumingMemoryBound(to: Float.self)
    }
}
