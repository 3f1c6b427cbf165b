package import OslerCompute
package import OslerModels

/// Bytes that a run will hold on its devices, by category, known before anything is loaded.
///
/// The arena's share is measured by running the real step on a backend that computes nothing.
package struct MemoryPlan: Sendable, Equatable {
    package struct Item: Sendable, Equatable {
        package var name: String
        package var bytes: Int
        package init(name: String, bytes: Int) { (self.name, self.bytes) = (name, bytes) }
    }

    /// What one device holds.
    package struct Share: Sendable, Equatable {
        package var items: [Item]
        /// The blocks that it computes.
        package var blocks: Range<Int>
        package var streamedBlocks: Int
        /// Of the host, page-locked, for the streamed blocks.
        package var pinnedBytes: Int
        package var total: Int { items.reduce(0) { $0 + $1.bytes } }
    }

    package var shares: [Share]
    /// Blocks that backward computes again, of all.
    package var recomputedBlocks: Int
    package var blocks: Int
    package var placement: Placement
    package var total: Int { shares.reduce(0) { $0 + $1.total } }
    package var pinnedBytes: Int { shares.reduce(0) { $0 + $1.pinnedBytes } }

    /// - Parameters:
    ///   - quantization: how the blocks' matrices are held.
    ///   - dense: the type of the other matrices; nil: that of activations.
    ///   - trainBatches: the micro-batches to plan for, such as `largestBatches` finds them.
    ///   - evalBatches: likewise for evaluation.
    ///   - embeddingStaysInFile: as `ModelFiles.embeddingStaysInFile` says.
    ///   - devices: at least as many as the placement has.
    package init(
        model configuration: ModelConfiguration, quantization: WeightQuantization,
        dense: DType? = nil, embeddingStaysInFile: Bool = false, lora: LoRAConfiguration,
        options: TrainingOptions, placement: Placement = Placement(), trainBatches: [TokenBatch],
        evalBatches: [TokenBatch], positions: Int, on devices: [PlannedDevice]
    ) throws {
        let backend = devices[0].backend
        (blocks, self.placement) = (configuration.layers, placement)
        recomputedBlocks = blocks - options.checkpointing.keptBlocks(of: blocks)
        let shape = try CausalLM.shapeOnly(
            configuration,
            backend: PlanningBackend.standIn(for: backend, devices: placement.devices),
            placement: placement.withoutStreams, quantization: quantization, dense: dense)
        try shape.attachUnfilled(lora)
        guard let adapter = shape.adapter else { preconditionFailure() }
        let optimizer = try AdapterOptimizer(
            options.optimizer, adapter: adapter, hyperparameters: options.hyperparameters,
            backend: shape.backend)
        let arena = try Self.arenaBytes(
            configuration, lora: lora, options: options, placement: placement,
            trainBatches: trainBatches, evalBatches: evalBatches, backend: backend)
        let rotary = RotaryTables.byteCount(
            positions: positions, headWidth: configuration.headWidth)
        let tokens = (trainBatches + evalBatches).map(\.ids.count).max() ?? 0
        let leftInFile =
            embeddingStaysInFile ? Self.bytesLeftInFile(shape.embedding, tokens: tokens) : 0
        shares = (0..<placement.devices).map { device in
            let weights = ShareOfWeights(of: shape, on: device, placement)
            let parameters = adapter.gradients[device].byteCount
            let (training, evaluation) = (arena.training[device], arena.evaluation[device])
            return Share(
                items: [
                    Item(
                        name: "base weights",
                        bytes: weights.residentBytes - (device == 0 ? leftInFile : 0)),
                    Item(name: "slots of streamed blocks", bytes: weights.slotBytes),
                    Item(name: "adapter", bytes: parameters),
                    Item(name: "gradients", bytes: parameters),
                    Item(name: "optimizer", bytes: optimizer.byteCount(on: device)),
                    Item(name: "activations, training", bytes: training),
                    Item(
                        name: "activations, evaluation beyond training",
                        bytes: max(0, evaluation - training)),
                    Item(name: "rotary tables", bytes: rotary),
                    Item(name: "kernel scratch", bytes: devices[device].scratch),
                    devices[device].overhead,
                ], blocks: weights.blocks, streamedBlocks: weights.streamed.count,
                pinnedBytes: weights.pinnedBytes)
        }
    }

    /// What a run of this plan keeps.
    package var checkpointing: Checkpointing { .keeping(blocks - recomputedBlocks) }

    /// The arena that training and evaluation need, each on its largest batch, a number a device.
    package static func arenaBytes(
        _ configuration: ModelConfiguration, lora: LoRAConfiguration, options: TrainingOptions,
        placement: Placement = Placement(), trainBatches: [TokenBatch],
        evalBatches: [TokenBatch], backend: any Backend
    ) throws -> (training: [Int], evaluation: [Int]) {
        func measure(_ body: (CausalLM, Arena) throws -> Void) throws -> [Int] {
            try CausalLM.measureArena(
                configuration, lora: lora, placement: placement, on: backend, body)
        }
        let dropout = lora.dropout > 0 ? DropoutSource(seed: 0, microBatch: 0) : nil
        // What the loss head saw in the step's other micro-batches: at most as many targets in each as in any.
        let others = (options.accumulation - 1) * (trainBatches.map(\.targetCount).max() ?? 0)
        let training = try measure { model, arena in
            _ = arena[model.placement.devices - 1].tensor(.float32, [3 * others])
            for batch in trainBatches {
                _ = try model.accumulateGradients(
                    batch, loss: options.loss, scale: 1, checkpointing: options.checkpointing,
                    dropout: dropout, arena: arena)
            }
        }
        let evaluation = try measure { model, arena in
            for batch in evalBatches { _ = try model.lossRows(batch, arena: arena) }
        }
        return (training, evaluation)
    }

    /// Of an embedding whose pages go after each batch: a token brings its row, and what the system maps around it.
    private static func bytesLeftInFile(_ embedding: Tensor, tokens: Int) -> Int {
        let around = 64 << 10
        return max(
            0, embedding.byteCount - tokens * (embedding.byteCount / embedding.rowCount + around))
    }
}

/// The batches that can need the most memory. Activations grow with the tokens and the head's work with the targets, so
/// a batch is left out only where another has at least as many of both.
package func largestBatches(_ batches: [TokenBatch]) -> [TokenBatch] {
    let sized = batches.map { (tokens: $0.ids.count, targets: $0.targetCount, batch: $0) }
        .sorted { ($0.tokens, $0.targets) > ($1.tokens, $1.targets) }
    var largest: [TokenBatch] = []
    var targets = -1
    for item in sized where item.targets > targets {
        largest.append(item.batch)
        targets = item.targets
    }
    return largest
}
