internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerModels
internal import OslerTraining

/// A run that memory is planned for.
struct PlannedRun {
    let model: ModelConfiguration
    let precision: Precision
    /// How they lie in the batches that need the most memory.
    let sequences: [SequenceTable]
    /// Bytes that are allowed at most, on each device.
    let limit: Int?
    let map: DeviceMap
    /// Whether there are a tokenizer and rows in memory.
    var readsText = true

    /// The devices of a backend.
    func devices(of backend: any Backend) -> [PlannedDevice] {
        let cards = backend.cards
        guard !cards.isEmpty else { return [device(backend, free: nil)] }
        return cards.map { device($0, free: try? $0.freeBytes()) }
    }

    /// - Parameter free: of a card.
    private func device(_ backend: any Backend, free: Int?) -> PlannedDevice {
        let scratch = backend.scratchBytes(model, sequences: sequences)
        let isCard = !backend.cards.isEmpty
        let program = readsText ? PlannedDevice.program : PlannedDevice.programWithoutText
        let overhead = isCard ? PlannedDevice.nothing : program
        guard isCard, map == .auto else {
            return PlannedDevice(
                backend, scratch: scratch,
                budget: limit ?? MemoryPlan.defaultBudget(on: backend), overhead: overhead)
        }
        return PlannedDevice(
            backend, scratch: scratch,
            budget: [limit, free.map(Self.usable)].compactMap { $0 }.min(), mayStream: true,
            overhead: overhead)
    }

    /// A card of which only the memory is known.
    func card(of bytes: Int) -> PlannedDevice {
        let precision = precision
        let planner = PlanningBackend(precision: precision, usesHostMemory: false) {
            rows, _, vocabulary in
            CUDABackend.headWorkspace(precision, rows: rows, vocabulary: vocabulary).byteCount
        }
        let usable = Self.usable(bytes)
        return PlannedDevice(
            planner, scratch: CUDABackend.scratchBytes(precision, model, sequences: sequences),
            budget: min(limit ?? usable, usable), mayStream: map == .auto,
            overhead: MemoryPlan.Item(
                name: "driver and context", bytes: CUDABackend.contextBytes))
    }

    /// All but a sixteenth: memory is given in pieces, and a screen may want some.
    private static func usable(_ bytes: Int) -> Int { bytes / 16 * 15 }
}

/// Amounts of memory as people write them, one a card: `8GB`, `24GB,24GB`.
struct CardMemory: ExpressibleByArgument {
    let bytes: [Int]

    init?(argument: String) {
        let amounts = argument.split(separator: ",").map { byteCount(String($0)) }
        bytes = amounts.compactMap { $0 }
        if bytes.isEmpty || bytes.count < amounts.count { return nil }
    }
}
