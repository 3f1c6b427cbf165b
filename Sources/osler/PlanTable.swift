internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerModels
internal import OslerTraining

extension MemoryPlan {
    var table: String {
        let width = items.map(\.name.count).max() ?? 0
        let rows = (items + [Item(name: "total", bytes: total)]).filter { $0.bytes > 0 }.map {
            "  " + $0.name.rightPadded(width + 2) + $0.bytes.mebibytes.leftPadded(12)
        }
        let recomputed =
            recomputedBlocks > 0
            ? ["  \(recomputedBlocks) of \(blocks) blocks are computed again in backward"] : []
        return (["memory plan"] + rows + recomputed).joined(separator: "\n")
    }

    var json: JSON {
        .object(
            .init(
                items.map { ($0.name, .integer($0.bytes)) } + [
                    ("total", .integer(total)), ("recomputed_blocks", .integer(recomputedBlocks)),
                ]))
    }

    /// - Throws: when the device has less memory left than the plan needs, or `max_memory` is less.
    func checkFits(_ configuration: SFTConfiguration, on backend: any Backend) throws {
        try checkFits(
            limit: configuration.maximumMemory.map { ($0, "max_memory") }, on: backend,
            remedy:
                "lower per_device_train_batch_size or max_length, or use load_in_4bit (osler plan shows what takes it)"
        )
    }

    /// - Parameter limit: what is allowed at most, and the field that says so.
    /// - Throws: when the plan needs more than that, or than the device has left.
    func checkFits(
        limit: (bytes: Int, field: String)?, on backend: any Backend, remedy: String
    ) throws {
        if let limit, total > limit.bytes {
            throw InputError(
                "the run needs \(total.mebibytes), \(limit.bytes.mebibytes) are allowed",
                field: limit.field, remedy: "raise it; or \(remedy)")
        }
        guard let available = backend.availableBytes, total > available else { return }
        let place = backend.cuda?.card.name ?? "this machine"
        throw InputError(
            "the run needs \(total.mebibytes), \(place) has \(available.mebibytes) left",
            field: "memory", remedy: remedy)
    }

    /// What a run may take of the memory that the device has left: four fifths.
    static func defaultBudget(on backend: any Backend) -> Int? {
        backend.availableBytes.map { $0 / 5 * 4 }
    }
}

extension TrainingJob {
    /// The plan on this device. What is left open about recomputation is decided by `max_memory`, or by what the
    /// device has left.
    func plan(on backend: any Backend) throws -> MemoryPlan {
        try plan(
            backend: backend, backendScratch: try backend.scratchBytes(self),
            budget: configuration.maximumMemory ?? MemoryPlan.defaultBudget(on: backend))
    }
}

extension CPUBackend {
    /// Attention's scratch, and the packed operands of products.
    func scratchBytes(_ model: ModelConfiguration, sequences: [SequenceTable]) -> Int {
        let attention = sequences.map {
            attentionWorkspace(
                sequences: $0, heads: model.heads, keyHeads: model.keyValueHeads,
                width: model.headWidth, training: true)
        }
        return (attention.max() ?? 0) + productScratchBound
    }
}
