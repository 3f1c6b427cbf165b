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

    /// - Throws: when the machine has less memory left than the plan needs, or `max_memory` is less.
    func checkFits(_ configuration: SFTConfiguration) throws {
        try checkFits(
            limit: configuration.maximumMemory.map { ($0, "max_memory") },
            remedy:
                "lower per_device_train_batch_size or max_length, or use load_in_4bit (osler plan shows what takes it)"
        )
    }

    /// - Parameter limit: what is allowed at most, and the field that says so.
    /// - Throws: when the plan needs more than that, or than the machine has left.
    func checkFits(limit: (bytes: Int, field: String)?, remedy: String) throws {
        if let limit, total > limit.bytes {
            throw InputError(
                "the run needs \(total.mebibytes), \(limit.bytes.mebibytes) are allowed",
                field: limit.field, remedy: "raise it; or \(remedy)")
        }
        guard let available = ProcessStatus.availableBytes, total > available else { return }
        throw InputError(
            "the run needs \(total.mebibytes), this machine has \(available.mebibytes) left",
            field: "memory", remedy: remedy)
    }

    /// What a run may take of the memory that the machine has left: four fifths.
    static var defaultBudget: Int? { ProcessStatus.availableBytes.map { $0 / 5 * 4 } }
}

extension TrainingJob {
    /// The plan on this machine. What is left open about recomputation is decided by `max_memory`, or by what the
    /// machine has left.
    func plan(on backend: CPUBackend) throws -> MemoryPlan {
        try plan(
            backend: backend, backendScratch: try backend.scratchBytes(self),
            budget: configuration.maximumMemory ?? MemoryPlan.defaultBudget)
    }
}

extension CPUBackend {
    /// Scratch of the kernels for the run's largest batches.
    func scratchBytes(_ job: TrainingJob) throws -> Int {
        scratchBytes(job.files.configuration, sequences: try job.largestSequences())
    }

    /// Attention's scratch, and the packed operands of products.
    func scratchBytes(_ model: ModelConfiguration, sequences: [SequenceTable]) -> Int {
        let attention = sequences.map {
            attentionWorkspace(
                sequences: $0, heads: model.heads, keyHeads: model.keyValueHeads,
                width: model.headWidth, training: true)
        }
        return (attention.max() ?? 0) + productScratchBound
    }

    /// The CPU as the configuration asks for it.
    static func make(_ configuration: SFTConfiguration) throws -> CPUBackend {
        try CPUBackend(precision: configuration.precision, threads: configuration.threads)
    }
}
