package import OslerCompute

/// Operations that pass over memory once, eight elements a thread.
extension CUDABackend {
    package func copy(_ source: Tensor, to destination: Tensor) {
        precondition(source.count == destination.count, "\(source.shape) to \(destination.shape)")
        if source.dtype == destination.dtype {
            copyBytes(
                from: source.deviceAddress, to: destination.deviceAddress, count: source.byteCount)
            return
        }
        launch(
            "copy", grid: elementGrid(source.count), block: 256, source, source.kernelType,
            destination, destination.kernelType, Int64(source.count))
    }

    package func add(_ input: Tensor, to output: Tensor) {
        precondition(input.count == output.count, "\(input.shape) to \(output.shape)")
        launch(
            "add", grid: elementGrid(input.count), block: 256, input, input.kernelType, output,
            output.kernelType, Int64(input.count))
    }

    package func swiglu(gate: Tensor, up: Tensor, output: Tensor) {
        let tensors = [gate, up, output]
        precondition(tensors.allSatisfy { $0.count == gate.count && $0.dtype == gate.dtype })
        launch(
            "swiglu", grid: elementGrid(gate.count), block: 256, gate, up, output, gate.kernelType,
            Int64(gate.count))
    }

    package func swigluBackward(
        _ outputGradient: Tensor, gate: Tensor, up: Tensor, gateGradient: Tensor, upGradient: Tensor
    ) {
        let tensors = [outputGradient, gate, up, gateGradient, upGradient]
        precondition(tensors.allSatisfy { $0.count == gate.count && $0.dtype == gate.dtype })
        launch(
            "swiglu_backward", grid: elementGrid(gate.count), block: 256, outputGradient, gate, up,
            gateGradient, upGradient, gate.kernelType, Int64(gate.count))
    }

    package func dropout(_ input: Tensor, probability: Float, key: DropoutKey, output: Tensor) {
        dropout(input, probability, key, adding: false, output)
    }

    package func addDropout(
        _ input: Tensor, probability: Float, key: DropoutKey, to output: Tensor
    ) {
        precondition(output.dtype == .float32, "dropout added to \(output.dtype)")
        dropout(input, probability, key, adding: true, output)
    }

    private func dropout(
        _ input: Tensor, _ probability: Float, _ key: DropoutKey, adding: Bool, _ output: Tensor
    ) {
        precondition(input.count == output.count, "\(input.shape) to \(output.shape)")
        launch(
            "dropout", grid: elementGrid(input.count), block: 256, input, input.kernelType, output,
            output.kernelType, Int64(input.count), Int32(DropoutKey.threshold(probability)),
            Float(1 / (1 - Double(probability))), Int64(bitPattern: key.seed),
            Int64(bitPattern: key.stream), Int32(adding ? 1 : 0))
    }

    // MARK: Rows

    package func embed(ids: Tensor, table: Tensor, into output: Tensor) {
        gatherRows(table, rows: ids, into: output)
    }

    package func gatherRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        precondition(output.rowCount == rows.count && output.columns == input.columns)
        moveRows("gather_rows", input, rows, output, limit: input.rowCount)
    }

    package func scatterRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        precondition(input.rowCount == rows.count && output.columns == input.columns)
        moveRows("scatter_rows", input, rows, output, limit: output.rowCount)
    }

    private func moveRows(
        _ kernel: String, _ input: Tensor, _ rows: Tensor, _ output: Tensor, limit: Int
    ) {
        precondition(rows.dtype == .int32)
        if input.columns == 0 { return }
        launch(
            kernel, grid: Grid(rows.count), block: rowBlock(input.columns), input,
            input.kernelType, rows, output, output.kernelType, Int32(input.columns), Int32(limit))
    }

    /// Threads for one row of `width` elements, eight each: whole warps, at most `limit`.
    func rowBlock(_ width: Int, limit: Int = 256) -> Int {
        min(limit, (width + 255) / 256 * 32)
    }
}
