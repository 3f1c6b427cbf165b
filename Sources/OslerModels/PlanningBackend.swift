package import OslerCompute

/// A backend that computes nothing and has memory without end: running a step on it measures what the step would take.
///
/// `@unchecked Sendable`: used by one planner at a time.
package final class PlanningBackend: Backend, @unchecked Sendable {
    package let name = "plan"
    package let precision: Precision
    /// Bytes asked for so far.
    package private(set) var allocated = 0

    /// How much scratch the loss head takes on the backend that will really run.
    package typealias HeadWorkspace = (_ rows: Int, _ width: Int, _ vocabulary: Int) -> Int
    private let headWorkspace: HeadWorkspace

    package let usesHostMemory: Bool

    package init(
        precision: Precision, usesHostMemory: Bool = true,
        headWorkspace: @escaping HeadWorkspace = { _, _, _ in 0 }
    ) {
        (self.precision, self.usesHostMemory) = (precision, usesHostMemory)
        self.headWorkspace = headWorkspace
    }

    /// In place of `backend`, or of so many such devices.
    package static func standIn(for backend: any Backend, devices: Int) -> any Backend {
        let planners = (0..<devices).map { _ in
            PlanningBackend(
                precision: backend.precision, usesHostMemory: backend.usesHostMemory,
                headWorkspace: backend.linearCrossEntropyWorkspace)
        }
        return devices == 1 ? planners[0] : DeviceGroup(planners)
    }

    package func allocate(byteCount: Int) throws -> Storage {
        allocated += byteCount
        // Never read or written.
        return Storage(
            base: UnsafeMutableRawPointer(bitPattern: 4096)!, byteCount: byteCount,
            release: { _ in })
    }
    package func adopt(
        _ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) throws -> Storage { try allocate(byteCount: bytes.count) }
    package func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) {}
    package func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }
    package func zero(_ tensor: Tensor) {}
    package func copy(_ source: Tensor, to destination: Tensor) {}
    package func fetch(_ source: Tensor, from other: any Backend, into destination: Tensor) {}
    package func synchronize() throws {}
    package func multiply(_ multiplications: [Multiplication]) {}
    package func embed(ids: Tensor, table: Tensor, into output: Tensor) {}
    package func rmsNorm(
        _ input: Tensor, weight: Tensor, epsilon: Float, output: Tensor, inverseRMS: Tensor
    ) {}
    package func rmsNormBackward(
        _ outputGradient: Tensor, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        accumulating: Bool, inputGradient: Tensor
    ) {}
    package func rope(
        _ heads: Tensor, positions: Tensor, cosine: Tensor, sine: Tensor, inverse: Bool
    ) {}
    package func attention(
        query: Tensor, key: Tensor, value: Tensor, sequences: SequenceTable, scale: Float,
        output: Tensor, logSumExp: Tensor
    ) {}
    package func attentionBackward(
        _ outputGradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
        logSumExp: Tensor, sequences: SequenceTable, scale: Float, queryGradient: Tensor,
        keyGradient: Tensor, valueGradient: Tensor
    ) {}
    package func swiglu(gate: Tensor, up: Tensor, output: Tensor) {}
    package func swigluBackward(
        _ outputGradient: Tensor, gate: Tensor, up: Tensor, gateGradient: Tensor, upGradient: Tensor
    ) {}
    package func dropout(_ input: Tensor, probability: Float, key: DropoutKey, output: Tensor) {}
    package func addDropout(_ input: Tensor, probability: Float, key: DropoutKey, to output: Tensor)
    {}
    package func add(_ input: Tensor, to output: Tensor) {}
    package func gatherRows(_ input: Tensor, rows: Tensor, into output: Tensor) {}
    package func scatterRows(_ input: Tensor, rows: Tensor, into output: Tensor) {}
    package func linearCrossEntropyWorkspace(rows: Int, width: Int, vocabulary: Int) -> Int {
        headWorkspace(rows, width, vocabulary)
    }
    package func linearCrossEntropy(
        hidden: Tensor, head: FrozenMatrix, targets: Tensor, loss: LossKind, scale: Float,
        logProbabilities: Tensor, entropies: Tensor, isTop: Tensor, gradient: Tensor?,
        workspace: Tensor
    ) {}
    package func sumOfSquares(_ tensor: Tensor) throws -> Double { 0 }
    package func adamW(
        _ parameter: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor,
        step: AdamWStep
    ) {}
    package func adamW8bit(
        _ parameter: Tensor, gradient: Tensor, state: Adam8bitState, step: AdamWStep
    ) {}
}

extension Backend {
    /// Whether nothing is computed.
    var isPlanning: Bool {
        let one: any Backend = group?.members[0] ?? self
        return one is PlanningBackend
    }
}
