package import OslerCompute

extension CUDABackend {
    package func sumOfSquares(_ tensor: Tensor) throws -> Double {
        let blocks = (tensor.count + (1 << 15) - 1) >> 15
        // A double a block, and the total behind them.
        guard blocks > 0, let sums = scratch(.reduction, .uint8, [8 * (blocks + 1)]) else {
            try checkHealth()
            return 0
        }
        let total = sums.rows(8 * blocks..<8 * (blocks + 1))
        launch(
            "sum_of_squares", grid: Grid(blocks), block: 256, tensor, tensor.kernelType,
            Int64(tensor.count), sums)
        launch("sum_partials", grid: 1, block: 256, sums, Int32(blocks), total)
        var result = 0.0
        try withUnsafeMutableBytes(of: &result) { try read(total, into: $0) }
        return result
    }

    package func adamW(
        _ parameter: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor,
        step: AdamWStep
    ) {
        let tensors = [parameter, gradient, firstMoment, secondMoment]
        precondition(
            tensors.allSatisfy { $0.count == parameter.count && $0.dtype == .float32 })
        let numbers = AdamNumbers(step)
        launch(
            "adamw", grid: elementGrid(parameter.count), block: 256, parameter, gradient,
            firstMoment, secondMoment, Int64(parameter.count), numbers.rate, numbers.root2,
            numbers.beta1, numbers.beta2, numbers.oneMinus1, numbers.oneMinus2, numbers.epsilon,
            numbers.keep, step.gradientScale)
    }

    package func adamW8bit(
        _ parameter: Tensor, gradient: Tensor, state: Adam8bitState, step: AdamWStep
    ) {
        let count = parameter.count
        precondition(
            [parameter, gradient].allSatisfy { $0.count == count && $0.dtype == .float32 })
        precondition(
            [state.first, state.second].allSatisfy { $0.count == count && $0.dtype == .uint8 })
        precondition(
            [state.firstAbsmax, state.secondAbsmax].allSatisfy {
                $0.count == (count + 255) / 256 && $0.dtype == .float32
            })
        guard let maps = uploadedMaps() else { return }
        let numbers = AdamNumbers(step)
        launch(
            "adamw8bit", grid: .blocks(of: 2048, covering: count), block: 256, parameter, gradient,
            state.first, state.second, state.firstAbsmax, state.secondAbsmax, maps.rows(0..<1),
            maps.rows(1..<2), Int64(count), numbers.rate, numbers.root2, numbers.beta1,
            numbers.beta2, numbers.oneMinus1, numbers.oneMinus2, numbers.epsilon, numbers.keep,
            step.gradientScale)
    }

    /// The signed and the unsigned dynamic map, uploaded once; nil after a failure.
    private func uploadedMaps() -> Tensor? {
        if let dynamicMaps { return dynamicMaps }
        guard let maps = newTensor(.float32, [2, 256]) else { return nil }
        (DynamicMap.signed + DynamicMap.unsigned).withUnsafeBytes { write($0, to: maps) }
        dynamicMaps = maps
        return maps
    }
}

/// What the kernels take of a step, computed in double.
private struct AdamNumbers {
    let rate: Float
    let root2: Float
    let beta1: Float
    let beta2: Float
    let oneMinus1: Float
    let oneMinus2: Float
    let epsilon: Float
    let keep: Float

    init(_ step: AdamWStep) {
        let (correction1, correction2) = step.biasCorrections
        rate = Float(step.learningRate / correction1)
        root2 = Float(correction2.squareRoot())
        (beta1, beta2) = (Float(step.beta1), Float(step.beta2))
        (oneMinus1, oneMinus2) = (Float(1 - step.beta1), Float(1 - step.beta2))
        epsilon = Float(step.epsilon)
        keep = Float(1 - step.learningRate * step.weightDecay)
    }
}
