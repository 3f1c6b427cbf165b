package import OslerCompute

/// What the layers of one forward or backward pass share: where to compute, where to put results, which tokens.
package struct Pass {
    package let backend: any Backend
    package let arena: Arena
    /// int32 `[T]`: each token's position in its own sequence.
    package let positions: Tensor
    package let sequences: SequenceTable
    package let rotary: RotaryTables
    /// Set while training with LoRA dropout; nil in evaluation and generation.
    package let dropout: DropoutSource?
    /// Off: the base model alone, adapters ignored.
    package let usesAdapters: Bool

    package var tokenCount: Int { positions.count }

    package init(
        backend: any Backend, arena: Arena, positions: Tensor, sequences: SequenceTable,
        rotary: RotaryTables, dropout: DropoutSource? = nil, usesAdapters: Bool = true
    ) {
        (self.backend, self.arena, self.positions) = (backend, arena, positions)
        (self.sequences, self.rotary) = (sequences, rotary)
        (self.dropout, self.usesAdapters) = (dropout, usesAdapters)
    }
}

/// The passes of one batch: one a device, of which each block has its own.
struct Passes {
    private let passes: [Pass]
    private let placement: Placement

    init(_ passes: [Pass], _ placement: Placement) {
        (self.passes, self.placement) = (passes, placement)
    }

    var all: [Pass] { passes }
    /// Where the embedding is.
    var first: Pass { passes[0] }
    /// Where the head is.
    var last: Pass { passes[passes.count - 1] }

    subscript(block: Int) -> Pass { passes[device(of: block)] }
    func device(of block: Int) -> Int { placement.device(of: block) }

    /// Whether the next block is on another device; after the last one there is none.
    func isBoundary(after block: Int) -> Bool { device(of: block) != device(of: block + 1) }
}

/// Gives every adapter of every micro-batch its own dropout mask, the same when a block is recomputed.
package struct DropoutSource: Sendable, Equatable {
    package var seed: UInt64
    /// Counts micro-batches from the start of training, so a resumed run draws the same masks.
    package var microBatch: UInt64

    package init(seed: UInt64, microBatch: UInt64) {
        (self.seed, self.microBatch) = (seed, microBatch)
    }

    package func key(adapter: Int) -> DropoutKey {
        DropoutKey(seed: seed, stream: microBatch << 20 | UInt64(adapter))
    }
}
