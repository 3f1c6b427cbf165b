internal import COslerKernels

extension CPUBackend {
    package func sumOfSquares(_ tensor: Tensor) -> Double {
        precondition(tensor.dtype.isFloat)
        let grain = 1 << 15
        // One sum a block of fixed size, added up in order: the threads don't matter.
        var sums = [Double](repeating: 0, count: (tensor.count + grain - 1) / grain)
        sums.withUnsafeMutableBufferPointer { sums in
            pool.runPieces(of: tensor.count, grain: grain) { range, _ in
                sums[range.lowerBound / grain] = kernels.pointee.sum_of_squares(
                    tensor.address + range.lowerBound * tensor.dtype.byteWidth,
                    tensor.dtype == .bfloat16, range.count)
            }
        }
        return sums.reduce(0, +)
    }

    package func adamW(
        _ parameter: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor,
        step: AdamWStep
    ) {
        let numbers = step.kernelNumbers
        let pointers = [parameter, gradient, firstMoment, secondMoment].map {
            precondition($0.count == parameter.count)
            return $0.elements(as: Float.self, .float32)
        }
        pool.runPieces(of: parameter.count, grain: 1 << 14) { range, _ in
            withUnsafePointer(to: numbers) {
                kernels.pointee.adamw(
                    pointers[0] + range.lowerBound, pointers[1] + range.lowerBound,
                    pointers[2] + range.lowerBound, pointers[3] + range.lowerBound, range.count, $0)
            }
        }
    }

    package func adamW8bit(
        _ parameter: Tensor, gradient: Tensor, state: Adam8bitState, step: AdamWStep
    ) {
        let (numbers, count) = (step.kernelNumbers, parameter.count)
        precondition(gradient.count == count && state.first.count == count)
        precondition(state.second.count == count)
        precondition(state.firstAbsmax.count == (count + 255) / 256)
        precondition(state.secondAbsmax.count == (count + 255) / 256)
        let p = parameter.elements(as: Float.self, .float32)
        let g = gradient.elements(as: Float.self, .float32)
        let m = state.first.elements(as: UInt8.self, .uint8)
        let v = state.second.elements(as: UInt8.self, .uint8)
        let mAbsmax = state.firstAbsmax.elements(as: Float.self, .float32)
        let vAbsmax = state.secondAbsmax.elements(as: Float.self, .float32)
        let (signed, unsigned) = (KernelMap.signed.pointer, KernelMap.unsigned.pointer)
        pool.runPieces(of: count, grain: 1 << 13) { range, _ in
            let (start, block) = (range.lowerBound, range.lowerBound / 256)
            withUnsafePointer(to: numbers) {
                kernels.pointee.adamw_8bit(
                    p + start, g + start, m + start, v + start, mAbsmax + block, vAbsmax + block,
                    range.count, signed, unsigned, $0)
            }
        }
    }
}

extension AdamWStep {
    fileprivate var kernelNumbers: ok_adam_step {
        let (correction1, correction2) = biasCorrections
        return ok_adam_step(
            learning_rate_over_correction1: Float(learningRate / correction1),
            root_correction2: Float(correction2.squareRoot()), beta1: Float(beta1),
            beta2: Float(beta2), one_minus_beta1: Float(1 - beta1),
            one_minus_beta2: Float(1 - beta2), epsilon: Float(epsilon),
            keep: Float(1 - learningRate * weightDecay), gradient_scale: gradientScale)
    }
}

extension Tensor {
    fileprivate func elements<T>(as type: T.Type, _ expected: DType) -> UnsafeMutablePointer<T> {
        precondition(dtype == expected, "\(dtype) where \(expected) is due")
        return address.assumingMemoryBound(to: T.self)
    }
}

/// A dynamic map with the look-up tables of the kernels. Built once, never freed.
///
/// `@unchecked Sendable`: written before it is shared, only read after.
final class KernelMap: @unchecked Sendable {
    static let signed = KernelMap(DynamicMap.signed)
    static let unsigned = KernelMap(DynamicMap.unsigned)

    let pointer: UnsafePointer<ok_dynamic_map>

    private init(_ values: [Float]) {
        let map = UnsafeMutablePointer<ok_dynamic_map>.allocate(capacity: 1)
        ok_dynamic_map_build(values, map)
        pointer = UnsafePointer(map)
    }
}
