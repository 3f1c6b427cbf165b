/// Several devices that hold one model's parts. An operation runs on the one where its output lies; tensors of others are
/// brought by `copy` alone.
///
/// `@unchecked Sendable`: as every backend, one caller at a time.
package final class DeviceGroup: Backend, @unchecked Sendable {
    /// Of one kind and precision.
    package let members: [any Backend]
    /// The member that gives the memory that is asked for.
    fileprivate var current = 0

    package init(_ members: [any Backend]) {
        precondition(!members.isEmpty)
        self.members = members
    }

    package var name: String { "\(members.count) x \(members[0].name)" }
    package var precision: Precision { members[0].precision }
    package var usesHostMemory: Bool { members[0].usesHostMemory }

    private func member(of tensor: Tensor) -> any Backend { members[tensor.storage.place] }

    /// The memory of the current member, known as such.
    private func placed(_ storage: Storage) -> Storage {
        Storage(base: storage.base, byteCount: storage.byteCount, place: current) { _ in
            withExtendedLifetime(storage) {}
        }
    }
}

extension Backend {
    /// The group that does the work, where one does.
    package var group: DeviceGroup? {
        self as? DeviceGroup ?? (self as? ProfilingBackend)?.base.group
    }

    /// Runs `body`; memory that is asked for there is that of device `place` of a group. A single device is place 0.
    package func on<Result>(_ place: Int, _ body: () throws -> Result) rethrows -> Result {
        guard let group else { return try body() }
        let outer = group.current
        group.current = place
        defer { group.current = outer }
        return try body()
    }
}

/// A member's slot.
private final class PlacedSlot: StreamSlot {
    private let slot: any StreamSlot
    let storage: Storage

    init(_ slot: any StreamSlot, storage: Storage) { (self.slot, self.storage) = (slot, storage) }

    func fill(from source: Storage) { slot.fill(from: source) }
    func awaitFill() { slot.awaitFill() }
}

// MARK: Memory

extension DeviceGroup {
    package func allocate(byteCount: Int) throws -> Storage {
        placed(try members[current].allocate(byteCount: byteCount))
    }
    package func adopt(
        _ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) throws -> Storage {
        placed(try members[current].adopt(bytes, owner: owner))
    }
    package func allocatePinned(byteCount: Int) throws -> Storage {
        placed(try members[current].allocatePinned(byteCount: byteCount))
    }
    package func makeSlot(byteCount: Int) throws -> any StreamSlot {
        let slot = try members[current].makeSlot(byteCount: byteCount)
        return PlacedSlot(slot, storage: placed(slot.storage))
    }
    package func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) {
        member(of: tensor).write(bytes, to: tensor)
    }
    /// What failed on any member is thrown: its results may be in `tensor`.
    package func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        let owner = member(of: tensor)
        for member in members where member !== owner { try member.synchronize() }
        try owner.read(tensor, into: bytes)
    }
    package func zero(_ tensor: Tensor) { member(of: tensor).zero(tensor) }
    package func copy(_ source: Tensor, to destination: Tensor) {
        let (from, to) = (member(of: source), member(of: destination))
        if from === to { return to.copy(source, to: destination) }
        precondition(source.dtype == destination.dtype && source.count == destination.count)
        to.fetch(source, from: from, into: destination)
    }
    package func fetch(_ source: Tensor, from other: any Backend, into destination: Tensor) {
        preconditionFailure("a group in a group")
    }
    package func synchronize() throws { for member in members { try member.synchronize() } }
}

// MARK: Operations, by where their output lies

extension DeviceGroup {
    package func multiply(_ multiplications: [Multiplication]) {
        guard let first = multiplications.first else { return }
        member(of: first.output).multiply(multiplications)
    }
    package func embed(ids: Tensor, table: Tensor, into output: Tensor) {
        member(of: output).embed(ids: ids, table: table, into: output)
    }
    package func rmsNorm(
        _ input: Tensor, weight: Tensor, epsilon: Float, output: Tensor, inverseRMS: Tensor
    ) {
        member(of: output).rmsNorm(
            input, weight: weight, epsilon: epsilon, output: output, inverseRMS: inverseRMS)
    }
    package func rmsNormBackward(
        _ outputGradient: Tensor, input: Tensor, weight: Tensor, inverseRMS: Tensor,
        accumulating: Bool, inputGradient: Tensor
    ) {
        member(of: inputGradient).rmsNormBackward(
            outputGradient, input: input, weight: weight, inverseRMS: inverseRMS,
            accumulating: accumulating, inputGradient: inputGradient)
    }
    package func rope(
        _ heads: Tensor, positions: Tensor, cosine: Tensor, sine: Tensor, inverse: Bool
    ) {
        member(of: heads).rope(
            heads, positions: positions, cosine: cosine, sine: sine, inverse: inverse)
    }
    package func attention(
        query: Tensor, key: Tensor, value: Tensor, sequences: SequenceTable, scale: Float,
        output: Tensor, logSumExp: Tensor
    ) {
        member(of: output).attention(
            query: query, key: key, value: value, sequences: sequences, scale: scale,
            output: output, logSumExp: logSumExp)
    }
    package func attentionBackward(
        _ outputGradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
        logSumExp: Tensor, sequences: SequenceTable, scale: Float, queryGradient: Tensor,
        keyGradient: Tensor, valueGradient: Tensor
    ) {
        member(of: queryGradient).attentionBackward(
            outputGradient, query: query, key: key, value: value, output: output,
            logSumExp: logSumExp, sequences: sequences, scale: scale,
            queryGradient: queryGradient, keyGradient: keyGradient, valueGradient: valueGradient)
    }
    package func swiglu(gate: Tensor, up: Tensor, output: Tensor) {
        member(of: output).swiglu(gate: gate, up: up, output: output)
    }
    package func swigluBackward(
        _ outputGradient: Tensor, gate: Tensor, up: Tensor, gateGradient: Tensor, upGradient: Tensor
    ) {
        member(of: gateGradient).swigluBackward(
            outputGradient, gate: gate, up: up, gateGradient: gateGradient, upGradient: upGradient)
    }
    package func dropout(_ input: Tensor, probability: Float, key: DropoutKey, output: Tensor) {
        member(of: output).dropout(input, probability: probability, key: key, output: output)
    }
    package func addDropout(_ input: Tensor, probability: Float, key: DropoutKey, to output: Tensor)
    {
        member(of: output).addDropout(input, probability: probability, key: key, to: output)
    }
    package func add(_ input: Tensor, to output: Tensor) {
        member(of: output).add(input, to: output)
    }
    package func gatherRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        member(of: output).gatherRows(input, rows: rows, into: output)
    }
    package func scatterRows(_ input: Tensor, rows: Tensor, into output: Tensor) {
        member(of: output).scatterRows(input, rows: rows, into: output)
    }
    package func linearCrossEntropyWorkspace(rows: Int, width: Int, vocabulary: Int) -> Int {
        members[0].linearCrossEntropyWorkspace(rows: rows, width: width, vocabulary: vocabulary)
    }
    package func linearCrossEntropy(
        hidden: Tensor, head: FrozenMatrix, targets: Tensor, loss: LossKind, scale: Float,
        logProbabilities: Tensor, entropies: Tensor, isTop: Tensor, gradient: Tensor?,
        workspace: Tensor
    ) {
        member(of: logProbabilities).linearCrossEntropy(
            hidden: hidden, head: head, targets: targets, loss: loss, scale: scale,
            logProbabilities: logProbabilities, entropies: entropies, isTop: isTop,
            gradient: gradient, workspace: workspace)
    }
    package func sumOfSquares(_ tensor: Tensor) throws -> Double {
        try member(of: tensor).sumOfSquares(tensor)
    }
    package func adamW(
        _ parameter: Tensor, gradient: Tensor, firstMoment: Tensor, secondMoment: Tensor,
        step: AdamWStep
    ) {
        member(of: parameter).adamW(
            parameter, gradient: gradient, firstMoment: firstMoment, secondMoment: secondMoment,
            step: step)
    }
    package func adamW8bit(
        _ parameter: Tensor, gradient: Tensor, state: Adam8bitState, step: AdamWStep
    ) {
        member(of: parameter).adamW8bit(parameter, gradient: gradient, state: state, step: step)
    }
}
