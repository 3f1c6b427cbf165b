internal import OslerCompute
internal import OslerModels

/// The base weights that one device holds, of a model whose weights are all in its blocks' own memory.
struct ShareOfWeights {
    let blocks: Range<Int>
    let streamed: [DecoderBlock]
    let residentBytes: Int
    var slotBytes: Int { BlockStream.slotBytes(streamed) }
    var pinnedBytes: Int { streamed.reduce(0) { $0 + $1.packedByteCount } }

    init(of model: CausalLM, on device: Int, _ placement: Placement) {
        let blocks = placement.blocks(on: device, of: model.blocks.count)
        self.blocks = blocks
        streamed = placement.streamed.filter(blocks.contains).map { model.blocks[$0] }
        var bytes = model.blocks[blocks].reduce(0) { $0 + $1.weightBytes }
        bytes -= streamed.reduce(0) { $0 + $1.weightBytes }
        if device == 0 { bytes += model.embedding.byteCount }
        if device == placement.devices - 1 {
            bytes += model.finalNorm.byteCount
            let sharesEmbedding = model.configuration.tiedHead && device == 0
            bytes += sharesEmbedding ? 0 : model.head.byteCount
        }
        residentBytes = bytes
    }
}
