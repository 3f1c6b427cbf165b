package import OslerCompute

/// What of the forward pass is kept for backward. The results are the same bits.
package enum Checkpointing: Sendable, Equatable {
    /// Everything.
    case none
    /// Each block's input; the rest is computed again (Chen et al. 2016).
    case block
    /// Everything of so many blocks, the last ones; of the others their input.
    case keeping(Int)

    package func keptBlocks(of blocks: Int) -> Int {
        switch self {
        case .none: blocks
        case .block: 0
        case .keeping(let count): min(count, blocks)
        }
    }
}

extension CausalLM {
    /// Forward, loss and backward of one micro-batch; adds to the adapters' gradients.
    ///
    /// - Parameters:
    ///   - scale: what each row's loss is multiplied by in the gradient: 1 / (targets of the whole step).
    /// - Returns: what the loss head saw at every row with a target.
    /// - Throws: what the backend recorded.
    package func accumulateGradients(
        _ batch: TokenBatch, loss: LossKind, scale: Float, checkpointing: Checkpointing,
        dropout: DropoutSource?, arena: Arena
    ) throws -> LossRows {
        try arena.scope {
            let passes = makePasses(
                positions: batch.positions, sequences: SequenceTable(lengths: batch.lengths),
                arena: arena, dropout: dropout)
            // Each block's input on the block's device, and the last one's output.
            var states = [embed(batch.ids, passes.first)]
            for index in 1...blocks.count {
                states.append(passes[index].arena.tensor(.float32, states[0].shape))
            }
            let gradients = passes.all.map { $0.arena.tensor(.float32, states[0].shape) }
            let kept = KeptBlocks()
            let firstKept = max(
                firstAdapted, blocks.count - checkpointing.keptBlocks(of: blocks.count))
            for (index, block) in blocks.enumerated() {
                let pass = passes[index]
                let mark = pass.arena.used
                enter(index, .up)
                // To another device by way of the gradient, which has nothing to hold yet.
                let leaves = passes.isBoundary(after: index)
                let output = leaves ? gradients[passes.device(of: index)] : states[index + 1]
                let saved = block.forward(states[index], into: output, pass)
                if leaves { backend.copy(output, to: states[index + 1]) }
                if index >= firstKept {
                    kept.push(saved, mark: mark)
                } else {
                    pass.arena.release(to: mark)
                }
            }
            let rows = try lossAndGradient(
                batch, hidden: states[blocks.count], loss: loss, scale: scale,
                gradient: gradients[gradients.count - 1], passes.last)
            backward(gradients, states: states, kept: kept, passes)
            try backend.synchronize()
            return rows
        }
    }

    /// Below this block nothing is trained.
    private var firstAdapted: Int { blocks.firstIndex { $0.hasAdapter } ?? blocks.count }

    private func backward(
        _ gradients: [Tensor], states: [Tensor], kept: KeptBlocks, _ passes: Passes
    ) {
        let first = firstAdapted
        for index in blocks.indices.reversed() where index >= first {
            let (pass, device) = (passes[index], passes.device(of: index))
            if passes.isBoundary(after: index) {
                backend.copy(gradients[device + 1], to: gradients[device])
            }
            enter(index, .down)
            let mark = kept.lastMark ?? pass.arena.used
            let saved = kept.pop() ?? blocks[index].forward(states[index], into: nil, pass)
            blocks[index].backward(
                gradients[device], input: states[index], needsInputGradient: index > first,
                consuming: saved, pass)
            pass.arena.release(to: mark)
        }
    }

    /// Loss rows without gradients; nothing is kept.
    package func lossRows(
        _ batch: TokenBatch, usesAdapters: Bool = true, arena: Arena
    ) throws -> LossRows {
        try arena.scope {
            let passes = makePasses(
                positions: batch.positions, sequences: SequenceTable(lengths: batch.lengths),
                arena: arena, usesAdapters: usesAdapters)
            let hidden = hiddenStates(batch.ids, passes)
            return try lossAndGradient(
                batch, hidden: hidden, loss: .nll, scale: 1, gradient: nil, passes.last)
        }
    }

    /// The head over the rows with a target, and the gradient of the last hidden states.
    private func lossAndGradient(
        _ batch: TokenBatch, hidden: Tensor, loss: LossKind, scale: Float, gradient: Tensor?,
        _ pass: Pass
    ) throws -> LossRows {
        if let gradient { backend.zero(gradient) }
        let rows = batch.targets.indices.filter { batch.targets[$0] >= 0 }.map { Int32($0) }
        guard !rows.isEmpty else { return LossRows() }
        let arena = pass.arena
        return try arena.scope {
            let normed = finalNormed(hidden, rows: rows, pass)
            let targets = arena.tensor(.int32, [rows.count])
            backend.write(rows.map { batch.targets[Int($0)] }, to: targets)
            let results = (0..<3).map { _ in arena.tensor(.float32, [rows.count]) }
            let normedGradient =
                gradient == nil ? nil : arena.tensor(.float32, normed.output.shape)
            let workspace = arena.tensor(
                .uint8,
                [
                    max(
                        64,
                        backend.linearCrossEntropyWorkspace(
                            rows: rows.count, width: configuration.hiddenSize,
                            vocabulary: configuration.vocabularySize))
                ])
            backend.linearCrossEntropy(
                hidden: normed.output, head: head, targets: targets, loss: loss, scale: scale,
                logProbabilities: results[0], entropies: results[1], isTop: results[2],
                gradient: normedGradient, workspace: workspace)
            if let gradient, let normedGradient {
                // A tensor of its own: the norm's backward reads its input.
                let rowGradient = arena.tensor(.float32, normed.input.shape)
                backend.rmsNormBackward(
                    normedGradient, input: normed.input, weight: finalNorm,
                    inverseRMS: normed.inverseRMS, accumulating: false, inputGradient: rowGradient)
                backend.scatterRows(rowGradient, rows: normed.rows, into: gradient)
            }
            var read = LossRows()
            read.logProbabilities = try backend.floats(results[0])
            read.entropies = try backend.floats(results[1])
            read.isTop = try backend.floats(results[2])
            return read
        }
    }
}

/// The saved states of the blocks that are not computed again, and where their memory begins.
private final class KeptBlocks {
    private final class Box {
        var saved: DecoderBlock.Saved?
        let mark: Int
        init(_ saved: consuming DecoderBlock.Saved, mark: Int) {
            self.saved = consume saved
            self.mark = mark
        }
        func take() -> DecoderBlock.Saved? { saved.take() }
    }
    private var boxes: [Box] = []

    func push(_ saved: consuming DecoderBlock.Saved, mark: Int) {
        boxes.append(Box(saved, mark: mark))
    }
    var lastMark: Int? { boxes.last?.mark }
    func pop() -> DecoderBlock.Saved? { boxes.popLast()?.take() }
}

extension DecoderBlock {
    var hasAdapter: Bool {
        [
            attention.query, attention.key, attention.value, attention.output, mlp.gate, mlp.up,
            mlp.down,
        ].contains { $0.lora != nil }
    }
}
