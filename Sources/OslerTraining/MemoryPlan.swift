package import OslerCompute
package import OslerModels

/// Bytes that a run will hold, by category, known before anything is loaded.
///
/// The arena's share is measured by running the real step on a backend that computes nothing.
package struct MemoryPlan: Sendable, Equatable {
    package struct Item: Sendable, Equatable {
        package var name: String
        package var bytes: Int
        package init(name: String, bytes: Int) { (self.name, self.bytes) = (name, bytes) }
    }
    package var items: [Item]
    /// Blocks that backward computes again, of all.
    package var recomputedBlocks: Int
    package var blocks: Int
    package var total: Int { items.reduce(0) { $0 + $1.bytes } }

    /// - Parameters:
    ///   - trainBatches: the micro-batches to plan for, such as `largestBatches` finds them.
    ///   - evalBatches: likewise for evaluation.
    ///   - embeddingStaysInFile: as `ModelFiles.embeddingStaysInFile` says.
    ///   - backend: the one that will run.
    package init(
        model configuration: ModelConfiguration, quantization: WeightQuantization,
        prequantizedBytes: Int? = nil, embeddingStaysInFile: Bool = false, lora: LoRAConfiguration,
        options: TrainingOptions,
        trainBatches: [TokenBatch], evalBatches: [TokenBatch], positions: Int,
        backend: any Backend, backendScratch: Int
    ) throws {
        blocks = configuration.layers
        recomputedBlocks = blocks - options.checkpointing.keptBlocks(of: blocks)
        let planner = PlanningBackend(precision: backend.precision)
        let shape = try CausalLM.shapeOnly(configuration, backend: planner)
        try shape.attachUnfilled(lora)
        guard let adapter = shape.adapter else { preconditionFailure() }
        let parameters = adapter.parameterCount * 4
        let optimizer = try AdapterOptimizer(
            options.optimizer, adapter: adapter, hyperparameters: options.hyperparameters,
            backend: planner)
        let arena = try Self.arenaBytes(
            configuration, lora: lora, options: options, trainBatches: trainBatches,
            evalBatches: evalBatches, backend: backend)
        var weightBytes =
            prequantizedBytes ?? Self.weightBytes(shape, quantization: quantization)
        if embeddingStaysInFile {
            let tokens = (trainBatches + evalBatches).map(\.ids.count).max() ?? 0
            weightBytes -= Self.bytesLeftInFile(shape.embedding, tokens: tokens)
        }
        items = [
            Item(name: "base weights", bytes: weightBytes),
            Item(name: "adapter", bytes: parameters),
            Item(name: "gradients", bytes: parameters),
            Item(name: "optimizer", bytes: optimizer.byteCount),
            Item(name: "activations, training", bytes: arena.training),
            Item(
                name: "activations, evaluation beyond training",
                bytes: max(0, arena.evaluation - arena.training)),
            Item(
                name: "rotary tables",
                bytes: RotaryTables.byteCount(
                    positions: positions, headWidth: configuration.headWidth)),
            Item(name: "kernel scratch", bytes: backendScratch),
            Item(name: "program", bytes: Self.programBytes),
        ]
    }

    /// The plan that keeps as many blocks' values for backward as `budget` allows; none where even that is too much.
    ///
    /// - Parameter plan: makes the plan of a choice; the last one asked for is the one returned.
    package static func leastRecomputed(
        blocks: Int, budget: Int, _ plan: (Checkpointing) throws -> MemoryPlan
    ) rethrows -> MemoryPlan {
        var kept = 0..<blocks + 1
        while kept.count > 1 {
            let middle = kept.lowerBound + kept.count / 2
            let fits = try plan(.keeping(middle)).total <= budget
            kept = fits ? middle..<kept.upperBound : kept.lowerBound..<middle
        }
        return try plan(.keeping(kept.lowerBound))
    }

    /// What a run of this plan keeps.
    package var checkpointing: Checkpointing { .keeping(blocks - recomputedBlocks) }

    /// The binary, the tokenizer and the tokenized rows, roughly: measured on SmolLM2 runs.
    static let programBytes = 60 << 20

    /// The arena that training and evaluation need, each on its largest batch.
    package static func arenaBytes(
        _ configuration: ModelConfiguration, lora: LoRAConfiguration, options: TrainingOptions,
        trainBatches: [TokenBatch], evalBatches: [TokenBatch], backend: any Backend
    ) throws -> (training: Int, evaluation: Int) {
        func measure(_ body: (CausalLM, Arena) throws -> Void) throws -> Int {
            try CausalLM.measureArena(
                configuration, precision: backend.precision, lora: lora, headWorkspace: backend,
                body)
        }
        let dropout = lora.dropout > 0 ? DropoutSource(seed: 0, microBatch: 0) : nil
        // What the loss head saw in the step's other micro-batches: at most as many targets in each as in any.
        let others = (options.accumulation - 1) * (trainBatches.map(\.targetCount).max() ?? 0)
        let training = try measure { model, arena in
            _ = arena.tensor(.float32, [3 * others])
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

    private static func weightBytes(
        _ model: CausalLM, quantization: WeightQuantization
    ) -> Int {
        guard case .nf4(let doubleQuantized) = quantization else { return model.weightBytes }
        var bytes = model.weightBytes
        model.forEachLinear { linear in
            let count = linear.weight.rows * linear.weight.columns
            let blocks = (count + 63) / 64
            let scales = doubleQuantized ? blocks + (blocks + 255) / 256 * 4 : blocks * 4
            bytes += (count + 1) / 2 + scales - linear.weight.byteCount
        }
        return bytes
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
