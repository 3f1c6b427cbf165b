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
    /// Forward, loss and backward of a step's micro-batches; adds to the adapters' gradients.
    ///
    /// All of them are queued before the host waits, once, for what the loss head saw: a card goes from one to the next.
    /// Those without a target are left out.
    ///
    /// - Parameters:
    ///   - scale: what each row's loss is multiplied by in the gradient: 1 / (targets of the whole step).
    ///   - dropout: where the masks of a micro-batch come from, by its place in `batches`.
    /// - Returns: what the loss head saw at every row with a target, a micro-batch each.
    /// - Throws: what the backend recorded.
    package func accumulateGradients(
        _ batches: [TokenBatch], loss: LossKind, scale: Float, checkpointing: Checkpointing,
        dropout: (Int) -> DropoutSource?, arena: Arena
    ) throws -> [LossRows] {
        try arena.scope {
            let counts = batches.map(\.targetCount)
            let results = arena[placement.devices - 1].tensor(
                .float32, [3 * counts.reduce(0, +)])
            var start = 0
            for (index, batch) in batches.enumerated() where counts[index] > 0 {
                let range = start..<start + 3 * counts[index]
                queueGradients(
                    batch, loss: loss, scale: scale, checkpointing: checkpointing,
                    dropout: dropout(index), arena: arena,
                    results: results.rows(range).reshaped([3, counts[index]]))
                start = range.upperBound
            }
            var values = try backend.floats(results)[...]
            return counts.map { count in
                defer { values = values.dropFirst(3 * count) }
                return LossRows(results: values.prefix(3 * count))
            }
        }
    }

    /// The same for one micro-batch.
    package func accumulateGradients(
        _ batch: TokenBatch, loss: LossKind, scale: Float, checkpointing: Checkpointing,
        dropout: DropoutSource?, arena: Arena
    ) throws -> LossRows {
        try accumulateGradients(
            [batch], loss: loss, scale: scale, checkpointing: checkpointing,
            dropout: { _ in dropout }, arena: arena)[0]
    }

    /// - Parameter results: as `queueLoss` writes them.
    private func queueGradients(
        _ batch: TokenBatch, loss: LossKind, scale: Float, checkpointing: Checkpointing,
        dropout: DropoutSource?, arena: Arena, results: Tensor
    ) {
        arena.scope {
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
            for index in blocks.indices {
                let pass = passes[index]
                let mark = pass.arena.used
                enter(index, .up)
                // To another device by way of the gradient, which has nothing to hold yet.
                let leaves = passes.isBoundary(after: index)
                let output = leaves ? gradients[passes.device(of: index)] : states[index + 1]
                let saved = blocks[index].forward(states[index], into: output, pass)
                if leaves { backend.copy(output, to: states[index + 1]) }
                if index >= firstKept {
                    kept.push(saved, mark: mark)
                } else {
                    pass.arena.release(to: mark)
                }
            }
            queueLoss(
                batch, hidden: states[blocks.count], loss: loss, scale: scale,
                gradient: gradients[gradients.count - 1], results: results, passes.last)
            backward(gradients, states: states, kept: kept, passes)
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
            let results = arena[placement.devices - 1].tensor(.float32, [3, batch.targetCount])
            let passes = makePasses(
                positions: batch.positions, sequences: SequenceTable(lengths: batch.lengths),
                arena: arena, usesAdapters: usesAdapters)
            let hidden = hiddenStates(batch.ids, passes)
            queueLoss(
                batch, hidden: hidden, loss: .nll, scale: 1, gradient: nil, results: results,
                passes.last)
            return LossRows(results: try backend.floats(results)[...])
        }
    }

    /// The head over the rows with a target, and the gradient of the last hidden states.
    ///
    /// - Parameter results: float32 `[3, targets]`: log p(target), entropy, and whether the target is the top.
    private func queueLoss(
        _ batch: TokenBatch, hidden: Tensor, loss: LossKind, scale: Float, gradient: Tensor?,
        results: Tensor, _ pass: Pass
    ) {
        if let gradient { backend.zero(gradient) }
        let rows = batch.targets.indices.filter { batch.targets[$0] >= 0 }.map { Int32($0) }
        guard !rows.isEmpty else { return }
        let arena = pass.arena
        arena.scope {
            let normed = finalNormed(hidden, rows: rows, pass)
            let targets = arena.tensor(.int32, [rows.count])
            backend.write(rows.map { batch.targets[Int($0)] }, to: targets)
            let seen = (0..<3).map { results.rows($0..<$0 + 1).reshaped([rows.count]) }
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
                logProbabilities: seen[0], entropies: seen[1], isTop: seen[2],
                gradient: normedGradient, workspace: workspace)
            if let gradient, let normedGradient {
                // A tensor of its own: the norm's backward reads its input.
                let rowGradient = arena.tensor(.float32, normed.input.shape)
                backend.rmsNormBackward(
                    normedGradient, input: normed.input, weight: finalNorm,
                    inverseRMS: normed.inverseRMS, accumulating: false, inputGradient: rowGradient)
                backend.scatterRows(rowGradient, rows: normed.rows, into: gradient)
            }
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
