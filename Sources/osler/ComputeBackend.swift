internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerModels
internal import OslerTraining

extension DeviceMap: ExpressibleByArgument {
    static var allValueStrings: [String] { [DeviceMap.auto.rawValue] }
    static let help: ArgumentHelp =
        "auto: spreads a model over all GPUs by memory; what fits on none waits in host memory."
}

extension ComputeDevice: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }

    /// The backend of this device.
    ///
    /// - Parameters:
    ///   - precision: nil: bfloat16, or float16 on a card that lacks it.
    ///   - map: with `auto` all cards together, where the device is `auto` too.
    ///   - note: told why `auto` leaves a card alone, and that it takes one.
    /// - Throws: an `InputError` with the reason when a card was asked for that can't be used, or the
    ///   CPU is to compute in float16.
    func backend(
        precision: Precision?, threads: Int?, map: DeviceMap, note: (String) -> Void
    ) throws -> any Backend {
        switch self {
        case .cpu: return try Self.host(precision, threads)
        case .cuda(let index):
            do throws(CUDAError) {
                return try CUDABackend(precision: precision, device: index)
            } catch {
                throw InputError(
                    "\(self) can't be used: \(error.withoutRemedy)", field: "device",
                    remedy: error.remedy ?? "osler doctor says what there is; device: cpu works")
            }
        case .auto:
            let cards = (try? LibrarySearch.standard.driver().devices()) ?? []
            if !cards.isEmpty {
                do throws(CUDAError) {
                    let first = try CUDABackend(precision: precision)
                    note(
                        "\(cards[0].name) computes; this was never tried on a card "
                            + "(Documentation/GPU.md): compare with --device cpu before you rely on it"
                    )
                    let others = map == .auto ? cards.dropFirst() : []
                    return Self.group([first], adding: others, first.precision, note)
                } catch {
                    note("the CPU computes, \(cards[0].name) can't be used: \(error)")
                }
            }
            return try Self.host(precision, threads)
        }
    }

    /// All cards that can be used, as one backend: in the precision of the first.
    private static func group(
        _ first: [CUDABackend], adding others: ArraySlice<DeviceDescription>,
        _ precision: Precision, _ note: (String) -> Void
    ) -> any Backend {
        var members = first
        for card in others {
            do throws(CUDAError) {
                members.append(try CUDABackend(precision: precision, device: card.index))
            } catch {
                note("\(card.name), cuda:\(card.index), can't be used: \(error)")
            }
        }
        return members.count == 1 ? members[0] : DeviceGroup(members)
    }

    private static func host(_ precision: Precision?, _ threads: Int?) throws -> CPUBackend {
        guard precision != .float16 else {
            throw InputError(
                "the CPU doesn't compute in float16 (fp16: true)", field: "device",
                remedy:
                    "use bf16: true or --dtype bfloat16, or a GPU: osler doctor says what there is"
            )
        }
        return try CPUBackend(precision: precision ?? .bfloat16, threads: threads)
    }
}

extension SFTConfiguration {
    /// Where this run computes.
    func makeBackend(_ console: Console) throws -> any Backend {
        try device.backend(
            precision: precision, threads: threads, map: deviceMap, note: console.note)
    }
}

extension Backend {
    /// The backends of the cards that do the work, where they do.
    var cards: [CUDABackend] {
        if let card = self as? CUDABackend { return [card] }
        if let profiler = self as? ProfilingBackend { return profiler.base.cards }
        return group?.members.flatMap(\.cards) ?? []
    }

    /// Scratch of the kernels for batches of these sequences.
    func scratchBytes(_ model: ModelConfiguration, sequences: [SequenceTable]) -> Int {
        if let cpu { return cpu.scratchBytes(model, sequences: sequences) }
        return CUDABackend.scratchBytes(precision, model, sequences: sequences)
    }

    /// `avx512bf16, 2 threads` or the cards' names.
    var placeOfComputing: String {
        guard cards.isEmpty else { return cards.map(\.card.name).joined(separator: ", ") }
        return "\(name)\(cpu.map { ", \($0.pool.threads) threads" } ?? "")"
    }

    /// What the device has left; nil when it won't say.
    var availableBytes: Int? {
        cards.first.map { try? $0.freeBytes() } ?? ProcessStatus.availableBytes
    }

    /// The most memory that this process has held where it computes.
    var mostHeldBytes: Int {
        cards.isEmpty
            ? ProcessStatus.peakResidentBytes : cards.reduce(0) { $0 + $1.peakBytes }
    }
}

extension CUDABackend {
    /// Scratch of the kernels, also of a card that isn't here.
    static func scratchBytes(
        _ precision: Precision, _ model: ModelConfiguration, sequences: [SequenceTable]
    ) -> Int {
        let tokens = sequences.map { $0.entries.reduce(0) { $0 + $1.queryCount } }.max() ?? 0
        let positions = sequences.flatMap(\.entries).map(\.keyCount).max() ?? 0
        let attention = model.heads * model.headWidth
        let layer = model.hiddenSize * max(model.intermediateSize, attention)
        // In float32 the head's bfloat16 is widened too.
        let head = precision == .float32 ? model.vocabularySize * model.hiddenSize : 0
        return scratchBound(
            precision, tokens: tokens,
            widest: max(model.hiddenSize, model.intermediateSize, attention),
            largestWeight: max(layer, head), heads: model.heads, positions: positions)
    }
}
