package import OslerCompute

/// A decoder-only language model: frozen base weights, and at most one LoRA adapter on top.
///
/// One owner at a time: passes share the arena and the backend.
package final class CausalLM {
    package let configuration: ModelConfiguration
    package let backend: any Backend
    /// float32 or bfloat16 `[V, D]`.
    package let embedding: Tensor
    package internal(set) var blocks: [DecoderBlock]
    package let placement: Placement
    /// Bring blocks that are not kept on their device; one for each device that has such.
    package let streams: [BlockStream]
    /// float32 `[D]`.
    package let finalNorm: Tensor
    /// `[V, D]`; the embedding when tied.
    package let head: FrozenMatrix
    /// One a device.
    var rotaries: [RotaryTables]
    package var rotary: RotaryTables { rotaries[0] }
    package internal(set) var adapter: Adapter?

    package init(
        configuration: ModelConfiguration, backend: any Backend, embedding: Tensor,
        blocks: [DecoderBlock], placement: Placement, streams: [BlockStream], finalNorm: Tensor,
        head: FrozenMatrix, rotaries: [RotaryTables]
    ) {
        (self.configuration, self.backend, self.embedding) = (configuration, backend, embedding)
        (self.blocks, self.placement, self.streams) = (blocks, placement, streams)
        (self.finalNorm, self.head, self.rotaries) = (finalNorm, head, rotaries)
    }

    /// Runs `body` on every linear layer that can have an adapter, in the order of the forward pass.
    package func forEachLinear(_ body: (inout Linear) throws -> Void) rethrows {
        for index in blocks.indices {
            try body(&blocks[index].attention.query)
            try body(&blocks[index].attention.key)
            try body(&blocks[index].attention.value)
            try body(&blocks[index].attention.output)
            try body(&blocks[index].mlp.gate)
            try body(&blocks[index].mlp.up)
            try body(&blocks[index].mlp.down)
        }
    }

    /// Bytes of all base weights, in the form in which they are held.
    package var weightBytes: Int {
        var bytes = embedding.byteCount + finalNorm.byteCount
        if !configuration.tiedHead { bytes += head.byteCount }
        return blocks.reduce(bytes) { $0 + $1.weightBytes }
    }

    /// One pass a device, with the batch's tables in that device's part of the arena.
    func makePasses(
        positions: [Int32], sequences: SequenceTable, arena: Arena, dropout: DropoutSource? = nil,
        usesAdapters: Bool = true
    ) -> Passes {
        precondition(positions.allSatisfy { $0 >= 0 && $0 < rotary.positions })
        let passes = rotaries.enumerated().map { device, rotary in
            let tensor = arena[device].tensor(.int32, [positions.count])
            backend.write(positions, to: tensor)
            return Pass(
                backend: backend, arena: arena[device], positions: tensor, sequences: sequences,
                rotary: rotary, dropout: dropout, usesAdapters: usesAdapters)
        }
        return Passes(passes, placement)
    }

    /// Embeddings of `ids`, float32 `[T, D]`, in the arena.
    func embed(_ ids: [Int32], _ pass: Pass) -> Tensor {
        precondition(ids.allSatisfy { $0 >= 0 && $0 < configuration.vocabularySize })
        let idTensor = pass.arena.tensor(.int32, [ids.count])
        backend.write(ids, to: idTensor)
        let hidden = pass.arena.tensor(.float32, [ids.count, configuration.hiddenSize])
        backend.embed(ids: idTensor, table: embedding, into: hidden)
        // The head of its own, the table's file is read again for the next batch: a gigabyte less in an 8B model.
        if !configuration.tiedHead { embedding.storage.releasePages() }
        return hidden
    }

    /// Called before the work of a block is queued.
    func enter(_ block: Int, _ direction: BlockStream.Direction) {
        for stream in streams { stream.enter(block, direction) }
    }

    /// All blocks without keeping anything for backward; the arena holds two hidden states and one block at a time. The
    /// result is on the last device.
    func hiddenStates(_ ids: [Int32], cache: KeyValueCache? = nil, _ passes: Passes) -> Tensor {
        var input = embed(ids, passes.first)
        var output = passes.first.arena.tensor(.float32, input.shape)
        for index in blocks.indices {
            let pass = passes[index]
            if index > 0, passes.isBoundary(after: index - 1) {
                let arrived = pass.arena.tensor(.float32, input.shape)
                backend.copy(input, to: arrived)
                (input, output) = (arrived, pass.arena.tensor(.float32, input.shape))
            }
            enter(index, .up)
            pass.arena.scope {
                _ = blocks[index].forward(input, into: output, cache: cache?.layers[index], pass)
            }
            swap(&input, &output)
        }
        return input
    }

    /// The final norm of some rows of the hidden states, activation type, in the arena.
    func finalNormed(
        _ hidden: Tensor, rows: [Int32], _ pass: Pass
    ) -> (input: Tensor, output: Tensor, inverseRMS: Tensor, rows: Tensor) {
        let arena = pass.arena
        let rowTensor = arena.tensor(.int32, [rows.count])
        backend.write(rows, to: rowTensor)
        let input = arena.tensor(.float32, [rows.count, configuration.hiddenSize])
        backend.gatherRows(hidden, rows: rowTensor, into: input)
        let output = arena.activation(input.shape)
        let inverseRMS = arena.tensor(.float32, [rows.count])
        backend.rmsNorm(
            input, weight: finalNorm, epsilon: configuration.epsilon, output: output,
            inverseRMS: inverseRMS)
        return (input, output, inverseRMS, rowTensor)
    }
}
