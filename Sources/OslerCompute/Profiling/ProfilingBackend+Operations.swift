/// Every operation, handed on to the backend that computes.
extension ProfilingBackend {
    // MARK: Memory

    package func allocate(byteCount: Int) throws -> Storage {
        try measure(.allocate, OperationCost()) { try base.allocate(byteCount: byteCount) }
    }
    package func adopt(
        _ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) throws -> Storage {
        try measure(.adopt, OperationCost()) { try base.adopt(bytes, owner: owner) }
    }
    package func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) {
        measure(.write, OperationCost(tensor, tensor)) { base.write(bytes, to: tensor) }
    }
    package func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        try measure(.read, OperationCost(tensor, tensor)) { try base.read(tensor, into: bytes) }
    }
    package func zero(_ tensor: Tensor) {
        measure(.zero, OperationCost(tensor)) { base.zero(tensor) }
    }
    package func copy(_ source: Tensor, to destination: Tensor) {
        measure(.copy, OperationCost(source, destination)) { base.copy(source, to: destination) }
    }
    package func fetch(_ source: Tensor, from other: any Backend, into destination: Tensor) {
        measure(.copy, OperationCost(source, destination)) {
            base.fetch(source, from: other, into: destination)
        }
    }
    package func synchronize() throws {
        try measure(.synchronize, OperationCost()) { try base.synchronize() }
    }
    package func allocatePinned(byteCount: Int) throws -> Storage {
        try measure(.allocate, OperationCost()) { try base.allocatePinned(byteCount: byteCount) }
    }
    /// Not measured when it is filled: that is no part of the device's work.
    package func makeSlot(byteCount: Int) throws -> any StreamSlot {
        try base.makeSlot(byteCount: byteCount)
    }

    // MARK: Products

    package func multiply(_ multiplications: [Multiplication]) {
        let cost = multiplications.reduce(into: OperationCost()) { $0.add(.multiply($1)) }
        measure(.multiply, of: ProfiledProduct(multiplications), cost) {
            base.multiply(multiplications)
        }
    }

    // MARK: Layers

    package func embed(ids: Tensor, table: Tensor, into output: Tensor) {
        let rows = output.count * table.dtype.byteWidth
        let cost = OperationCost(bytes: ids.byteCount + rows + output.byteCount)
        measure(.embed, cost) { base.embed(ids: ids, table: table, into: output) }
    }
    package func rmsNorm(
        _ input: Tensor, weight: Tensor, epsilon: Float, output: Tensor, inverseRMS: Tensor
    ) {
        measure(.rmsNorm, OperationCost(input, weight, output, inverseRMS)) {
            base.rmsNorm(
                input, weight: weight, epsilon: epsilon, output: output, inverseRMS: inverseRMS)
        }
    }
    package func rmsNormBackward(
        _ outputGradient: Tensor, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        accumulating: Bool, inputGradient: Tensor
    ) {
        let cost = OperationCost(
            outputGradient, input, weight, inverseRMS, inputGradient,
            accumulating ? inputGradient : nil)
        measure(.rmsNormBackward, cost) {
            base.rmsNormBackward(
                outputGradient, input: input, weight: weight, inverseRMS: inverseRMS,
                accumulating: accumulating, inputGradient: inputGradient)
        }
    }
    package func rope(
        _ heads: Tensor, positions: Tensor, cosine: Tensor, sine: Tensor, inverse: Bool
    ) {
        measure(.rope, OperationCost(heads, heads, positions)) {
            base.rope(heads, positions: positions, cosine: cosine, sine: sine, inverse: inverse)
        }
    }
    package func attention(
        query: Tensor, key: Tensor, value: Tensor, sequences: SequenceTable, scale: Float,
        output: Tensor, logSumExp: Tensor
    ) {
        let cost = OperationCost.attention(
            query: query, key: key, value: value, output: output, logSumExp: logSumExp,
            sequences: sequences)
        measure(.attention, cost) {
            base.attention(
                query: query, key: key, value: value, sequences: sequences, scale: scale,
                output: output, logSumExp: logSumExp)
        }
    }
    package func attentionBackward(
        _ outputGradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
        logSumExp: Tensor, sequences: SequenceTable, scale: Float, queryGradient: Tensor,
        keyGradient: Tensor, valueGradient: Tensor
    ) {
        let cost = OperationCost.attentionBackward(
            query: query, key: key, logSumExp: logSumExp, sequences: sequences)
        measure(.attentionBackward, cost) {
            base.attentionBackward(
                outputGradient, query: query, key: key, value: value, output: output,
                logSumExp: logSumExp, sequences: sequences, scale: scale,
                queryGradient: queryGradient, keyGradient: keyGradient,
                valueGradient: valueGradient)
        }
    }
    package func swiglu(gate: Tensor, up: Tensor, output: Tensor) {
        measure(.swiglu, OperationCost(gate, up, output)) {
            base.swiglu(gate: gate, up: up, output: output)
        }
    }
    package func swigluBackward(
        _ outputGradient: Tensor, gate: Tensor, up: Tensor, gateGradient: Tensor, upGradient: Tensor
    ) {
        let cost = OperationCost(outputGradient, gate, up, gateGradient, upGradient)
        measure(.swigluBackward, cost) {
            base.swigluBackward(
                outputGradient, gate: gate, up: up, gateGradient: gateGradient,
                upGradient: upGradient)
        }
    }
    package func dropout(_ input: Tensor, probability: Float, key: DropoutKey, output: Tensor) {
        measure(.dropout, OperationCost(input, output)) {
            base.dropout(input, probability: probability, key: key, output: output)
        }
    }
    package func addDropout(_ input: Tensor, probability: Float, key: DropoutKey, to output: Tensor)
    {
        measure(.addDropout, OperationCost(input, output, output)) {
            base.addDropout(input, probability: probability, key: key, to: output)
        }
    }
    package func add(_ input: Tensor, to output: Tensor) {
        measure(.add, OperationCost(input, output, output)) { base.add(input, to: output) }
    }
    package func gatherRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        let read = output.count * input.dtype.byteWidth
        let cost = OperationCost(bytes: read + rows.byteCount + output.byteCount)
        measure(.gatherRows, cost) { base.gatherRows(input, rows: rows, into: output) }
    }
    package func scatterRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        let written = input.count * output.dtype.byteWidth
        let cost = OperationCost(bytes: input.byteCount + rows.byteCount + written)
        measure(.scatterRows, cost) { base.scatterRows(input, rows: rows, into: output) }
    }

    // MARK: Loss

    package func linearCrossEntropyWorkspace(rows: Int, width: Int, vocabulary: Int) -> Int {
        base.linearCrossEntropyWorkspace(rows: rows, width: width, vocabulary: vocabulary)
    }
    package func linearCrossEntropy(
        hidden: Tensor, head: FrozenMatrix, targets: Tensor, loss: LossKind, scale: Float,
        logProbabilities: Tensor, entropies: Tensor, isTop: Tensor, gradient: Tensor?,
        workspace: Tensor
    ) {
        let cost = OperationCost.linearCrossEntropy(
            hidden: hidden, head: head, gradient: gradient)
        measure(.linearCrossEntropy, cost) {
            base.linearCrossEntropy(
                hidden: hidden, head: head, targets: targets, loss: loss, scale: scale,
                logProbabilities: logProbabilities, entropies: entropies, isTop: isTop,
                gradient: gradient, workspace: workspace)
        }
    }

    // MARK: Optimizer

    package func sumOfSquares(_ tensor: Tensor) throws -> Double {
        try measure(.sumOfSquares, OperationCost(tensor)) { try base.sumOfSquares(tensor) }
    }
    package func adamW(
        _ parameter: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor,
        step: AdamWStep
    ) {
        let cost = OperationCost(
            gradient, parameter, parameter, firstMoment, firstMoment, secondMoment, secondMoment)
        measure(.adamW, cost) {
            base.adamW(
                parameter, gradient: gradient, firstMoment: firstMoment,
                secondMoment: secondMoment, step: step)
        }
    }
    package func adamW8bit(
        _ parameter: Tensor, gradient: Tensor, state: Adam8bitState, step: AdamWStep
    ) {
        let cost = OperationCost(
            gradient, parameter, parameter, state.first, state.first, state.second, state.second,
            state.firstAbsmax, state.firstAbsmax, state.secondAbsmax, state.secondAbsmax)
        measure(.adamW8bit, cost) {
            base.adamW8bit(parameter, gradient: gradient, state: state, step: step)
        }
    }
}
