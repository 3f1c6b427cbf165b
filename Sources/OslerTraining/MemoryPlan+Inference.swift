internal import OslerCompute
package import OslerModels

extension MemoryPlan {
    /// Of a model that answers or scores.
    ///
    /// - Parameters:
    ///   - sequences: how many are continued at once.
    ///   - positions: the longest one.
    ///   - tokens: the most that pass through the model together.
    package init(
        answering configuration: ModelConfiguration, quantization: WeightQuantization,
        lora: LoRAConfiguration?, sequences: Int, positions: Int, tokens: Int,
        placement: Placement, on devices: [PlannedDevice]
    ) throws {
        let backend = devices[0].backend
        let shape = try CausalLM.shapeOnly(
            configuration,
            backend: PlanningBackend.standIn(for: backend, devices: placement.devices),
            placement: placement.withoutStreams, quantization: quantization)
        if let lora { try shape.attachUnfilled(lora) }
        let batch = TokenBatch(
            sequences: [[Int32](repeating: 0, count: tokens)], allTargets: true)
        let arena = try CausalLM.measureArena(
            configuration, lora: lora, placement: placement, on: backend
        ) { _ = try $0.lossRows(batch, arena: $1) }
        let layerCache =
            KeyValueCache.byteCount(
                configuration, precision: backend.precision, sequences: sequences,
                capacity: positions) / configuration.layers
        let rotary = RotaryTables.byteCount(
            positions: positions, headWidth: configuration.headWidth)
        (blocks, recomputedBlocks, self.placement) = (configuration.layers, 0, placement)
        shares = (0..<placement.devices).map { device in
            let weights = ShareOfWeights(of: shape, on: device, placement)
            return Share(
                items: [
                    Item(name: "base weights", bytes: weights.residentBytes),
                    Item(name: "slots of streamed blocks", bytes: weights.slotBytes),
                    Item(
                        name: "adapter and its gradients",
                        bytes: 2 * (shape.adapter?.gradients[device].byteCount ?? 0)),
                    Item(name: "keys and values", bytes: layerCache * weights.blocks.count),
                    Item(name: "activations", bytes: arena[device]),
                    Item(name: "rotary tables", bytes: rotary),
                    Item(name: "kernel scratch", bytes: devices[device].scratch),
                    devices[device].overhead,
                ], blocks: weights.blocks, streamedBlocks: weights.streamed.count,
                pinnedBytes: weights.pinnedBytes)
        }
    }
}
