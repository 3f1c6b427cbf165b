package import OslerCompute

/// Operations on rows: norms and rotary embedding, a block each.
extension CUDABackend {
    package func rmsNorm(
        _ input: Tensor, weight: Tensor, epsilon: Float, output: Tensor, inverseRMS: Tensor
    ) {
        let width = input.columns
        precondition(output.count == input.count && weight.count == width)
        precondition(inverseRMS.count == input.rowCount)
        precondition(weight.dtype == .float32 && inverseRMS.dtype == .float32)
        if width == 0 { return }
        launch(
            "rmsnorm", grid: Grid(input.rowCount), block: rowBlock(width, limit: 512), input,
            input.kernelType, weight, epsilon, output, output.kernelType, inverseRMS, Int32(width))
    }

    package func rmsNormBackward(
        _ outputGradient: Tensor, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        accumulating: Bool, inputGradient: Tensor
    ) {
        let width = input.columns
        precondition(outputGradient.count == input.count && inputGradient.count == input.count)
        precondition(weight.count == width && inverseRMS.count == input.rowCount)
        precondition(weight.dtype == .float32 && inverseRMS.dtype == .float32)
        if width == 0 { return }
        launch(
            "rmsnorm_backward", grid: Grid(input.rowCount), block: rowBlock(width, limit: 512),
            outputGradient, outputGradient.kernelType, input, input.kernelType, weight, inverseRMS,
            inputGradient, inputGradient.kernelType, Int32(width), Int32(accumulating ? 1 : 0))
    }

    package func rope(
        _ heads: Tensor, positions: Tensor, cosine: Tensor, sine: Tensor, inverse: Bool
    ) {
        let (headCount, half) = (heads.shape[1], heads.shape[2] / 2)
        precondition(heads.shape[2] == 2 * half && positions.count == heads.shape[0])
        precondition(cosine.columns == half && sine.shape == cosine.shape)
        precondition(cosine.dtype == .float32 && sine.dtype == .float32)
        precondition(positions.dtype == .int32)
        let turns = headCount * ((half + 7) / 8)
        launch(
            "rope", grid: Grid(heads.shape[0]), block: rowBlock(8 * turns), heads,
            heads.kernelType, positions, cosine, sine, Int32(headCount), Int32(half),
            Int32(inverse ? 1 : 0), Int32(cosine.rowCount))
    }
}
