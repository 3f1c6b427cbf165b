internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerModels
internal import OslerTraining

extension MemoryPlan {
    var table: String { table(names: shares.indices.map { "cuda:\($0)" }) }

    /// - Parameter names: what to call the devices where there are several.
    private func table(names: [String]) -> String {
        let titles = shares.count == 1 ? ["memory plan"] : names.map { "memory plan of \($0)" }
        let recomputed =
            recomputedBlocks > 0
            ? ["  \(recomputedBlocks) of \(blocks) blocks are computed again in backward"] : []
        let tables = zip(titles, shares).map { ([$0] + $1.lines).joined(separator: "\n") }
        return (tables + recomputed).joined(separator: "\n")
    }

    /// Of cards that aren't here.
    func table(of cards: [PlannedDevice], bytes: [Int]) -> String {
        let names = bytes.enumerated().map { "cuda:\($0), \($1.mebibytes)" }
        let unused = cards.count - shares.count
        var lines = [table(names: names)]
        if unused > 0 { lines.append("  \(unused) of \(cards.count) cards are not needed") }
        let missing = zip(shares, cards).map { $0.total - ($1.budget ?? $0.total) }
        let size = bytes.map(\.mebibytes).joined(separator: " and ")
        if let most = missing.max(), most > 0 {
            lines.append(
                "doesn't fit: \(most.mebibytes) more than \(size) may give"
                    + (cards[0].mayStream ? "" : "; " + Self.mapRemedy))
        } else {
            lines.append("fits into \(size), of which a sixteenth stays free")
        }
        return lines.joined(separator: "\n")
    }

    /// What helps where one card is too small.
    static let mapRemedy =
        "write device_map: auto (--device-map auto) to spread blocks over cards and leave some in host memory"

    var json: JSON {
        // Several devices' parts under one name each.
        var object = JSON.Object()
        for item in shares.flatMap(\.items) {
            object[item.name] = .integer((object[item.name]?.integer ?? 0) + item.bytes)
        }
        object["total"] = .integer(total)
        object["recomputed_blocks"] = .integer(recomputedBlocks)
        if !placement.streamed.isEmpty {
            object["streamed_blocks"] = .integer(placement.streamed.count)
            object["pinned_host_bytes"] = .integer(pinnedBytes)
        }
        if shares.count > 1 {
            object["devices"] = .array(
                shares.map { share in
                    [
                        "total": .integer(share.total), "blocks": .integer(share.blocks.count),
                        "streamed_blocks": .integer(share.streamedBlocks),
                    ]
                })
        }
        return .object(object)
    }

    /// - Throws: when the device has less memory left than the plan needs, or `max_memory` is less.
    func checkFits(_ configuration: SFTConfiguration, on backend: any Backend) throws {
        let smaller =
            "lower per_device_train_batch_size or max_length, or use load_in_4bit (osler plan shows what takes it)"
        let mayStream = !backend.cards.isEmpty && configuration.deviceMap == .whole
        try checkFits(
            limit: configuration.maximumMemory.map { ($0, "max_memory") }, on: backend,
            remedy: mayStream ? Self.mapRemedy + "; or " + smaller : smaller)
        if let left = ProcessStatus.availableBytes, pinnedBytes > left {
            throw InputError(
                "\(pinnedBytes.mebibytes) of blocks are to wait in host memory, which has \(left.mebibytes) left",
                field: "device_map", remedy: smaller)
        }
    }

    /// - Parameter limit: what is allowed at most on a device, and the field that says so.
    /// - Throws: when the plan needs more than that, or than the device has left.
    func checkFits(
        limit: (bytes: Int, field: String)?, on backend: any Backend, remedy: String
    ) throws {
        let largest = shares.map(\.total).max() ?? 0
        if let limit, largest > limit.bytes {
            throw InputError(
                "the run needs \(largest.mebibytes), \(limit.bytes.mebibytes) are allowed",
                field: limit.field, remedy: "raise it; or \(remedy)")
        }
        let cards = backend.cards
        for (device, share) in shares.enumerated() {
            let (place, available) =
                cards.isEmpty
                ? ("this machine", ProcessStatus.availableBytes)
                : (cards[device].card.name, try? cards[device].freeBytes())
            guard let available, share.total > available else { continue }
            throw InputError(
                "the run needs \(share.total.mebibytes), \(place) has \(available.mebibytes) left",
                field: "memory", remedy: remedy)
        }
    }

    /// What a run may take of the memory that the device has left: four fifths.
    static func defaultBudget(on backend: any Backend) -> Int? {
        backend.availableBytes.map { $0 / 5 * 4 }
    }
}

extension TrainingJob {
    /// The plan on the devices of this backend. What is left open is decided by `max_memory`, or by what they have left.
    func plan(on backend: any Backend) throws -> MemoryPlan {
        try plan(on: try planned.devices(of: backend))
    }

    /// The run as its devices' memory is planned.
    var planned: PlannedRun {
        get throws {
            PlannedRun(
                model: files.configuration, precision: configuration.precision ?? .bfloat16,
                sequences: try largestSequences(), limit: configuration.maximumMemory,
                map: configuration.deviceMap)
        }
    }
}

extension MemoryPlan.Share {
    fileprivate var lines: [String] {
        let width = items.map(\.name.count).max() ?? 0
        let all = items + [MemoryPlan.Item(name: "total", bytes: total)]
        let rows = all.filter { $0.bytes > 0 }.map {
            "  " + $0.name.rightPadded(width + 2) + $0.bytes.mebibytes.leftPadded(12)
        }
        if streamedBlocks == 0 { return rows }
        return rows + [
            "  \(blocks.count - streamedBlocks) of \(blocks.count) blocks stay on the card, "
                + "\(streamedBlocks) are streamed from \(pinnedBytes.mebibytes) of page-locked host memory"
        ]
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
        return (attention.max() ?? 0) + productScratchBound(width: model.hiddenSize)
    }
}
