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
    /// float32 `[D]`.
    package let finalNorm: Tensor
    /// `[V, D]`; the embedding when tied.
    package let head: FrozenMatrix
    package internal(set) var rotary: RotaryTables
    package internal(set) var adapter: Adapter?

    package init(
        configuration: ModelConfiguration, backend: any Backend, embedding: Tensor,
        blocks: [DecoderBlock], finalNorm: Tensor, head: FrozenMatrix, rotary: RotaryTables
    ) {
        (self.configuration, self.backend, self.embedding) = (configuration, backend, embedding)
        (self.blocks, self.finalNorm, self.head, self.rotary) = (blocks, finalNorm, head, rotary)
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
        forEachLinear { bytes += $0.weight.byteCount + ($0.bias?.byteCount ?? 0) }
        for block in blocks {
            bytes += block.attentionNorm.byteCount + block.mlpNorm.byteCount
            bytes += block.attention.queryNorm?.byteCount ?? 0
            bytes += block.attention.keyNorm?.byteCount ?? 0
        }
        return bytes
    }

    /// The batch's tables, in the arena.
    func makePass(
        positions: [Int32], sequences: SequenceTable, arena: Arena, dropout: DropoutSource? = nil,
        usesAdapters: Bool = true
    ) -> Pass {
        precondition(positions.allSatisfy { $0 >= 0 && $0 < rotary.positions })
        let tensor = arena.tensor(.int32, [positions.count])
        backend.write(positions, to: tensor)
        return Pass(
            backend: backend, arena: arena, positions: tensor, sequences: sequences,
            rotary: rotary, dropout: dropout, usesAdapters: usesAdapters)
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

    /// All blocks without keeping anything for backward; the arena holds two hidden states and one block at a time.
    func hiddenStates(_ ids: [Int32], cache: KeyValueCache? = nil, _ pass: Pass) -> Tensor {
        var input = embed(ids, pass)
        var output = pass.arena.tensor(.float32, input.shape)
        for (index, block) in blocks.enumerated() {
            pass.arena.scope {
                _ = block.forward(input, into: output, cache: cache?.layers[index], pass)
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
