internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerModels
internal import OslerTraining

extension ComputeDevice: ExpressibleByArgument {
    init?(argument: String) { self.init(argument) }

    /// The backend of this device.
    ///
    /// - Parameters:
    ///   - precision: nil: bfloat16, or float16 on a card that lacks it.
    ///   - note: told why `auto` leaves a card alone, and that it takes one.
    /// - Throws: an `InputError` with the reason when a card was asked for that can't be used, or the
    ///   CPU is to compute in float16.
    func backend(precision: Precision?, threads: Int?, note: (String) -> Void) throws
        -> any Backend
    {
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
                    let backend = try CUDABackend(precision: precision)
                    note(
                        "\(cards[0].name) computes; this was never tried on a card "
                            + "(Documentation/GPU.md): compare with --device cpu before you rely on it"
                    )
                    return backend
                } catch {
                    note("the CPU computes, \(cards[0].name) can't be used: \(error)")
                }
            }
            return try Self.host(precision, threads)
        }
    }

    private static func host(_ precision: Precision?, _ threads: Int?) throws -> CPUBackend {
        guard precision != .float16 else {
            throw InputError(
                "the CPU doesn't compute in float16 (fp16: true)", field: "device",
                remedy: "use bf16: true or --dtype bfloat16, or a GPU: osler doctor says what there is"
            )
        }
        return try CPUBackend(precision: precision ?? .bfloat16, threads: threads)
    }
}

extension SFTConfiguration {
    /// Where this run computes.
    func makeBackend(_ console: Console) throws -> any Backend {
        try device.backend(precision: precision, threads: threads, note: console.note)
    }
}

extension Backend {
    /// The backend of the card that does the work, where one does.
    var cuda: CUDABackend? {
        self as? CUDABackend ?? (self as? ProfilingBackend)?.base.cuda
    }

    /// Scratch of the kernels for the run's largest batches.
    func scratchBytes(_ job: TrainingJob) throws -> Int {
        let sequences = try job.largestSequences()
        return cpu?.scratchBytes(job.files.configuration, sequences: sequences)
            ?? cuda?.scratchBytes(job.files.configuration, sequences: sequences) ?? 0
    }

    /// What the device has left; nil when it won't say.
    var availableBytes: Int? {
        if let cuda { return try? cuda.freeBytes() }
        return ProcessStatus.availableBytes
    }

    /// The most memory that this process has held where it computes.
    var mostHeldBytes: Int { cuda?.peakBytes ?? ProcessStatus.peakResidentBytes }
}

extension CUDABackend {
    fileprivate func scratchBytes(_ model: ModelConfiguration, sequences: [SequenceTable]) -> Int {
        let tokens = sequences.map { $0.entries.reduce(0) { $0 + $1.queryCount } }.max() ?? 0
        let attention = model.heads * model.headWidth
        let layer = model.hiddenSize * max(model.intermediateSize, attention)
        // In float32 the head's bfloat16 is widened too.
        let head = precision == .float32 ? model.vocabularySize * model.hiddenSize : 0
        return scratchBound(
            tokens: tokens, widest: max(model.hiddenSize, model.intermediateSize, attention),
            largestWeight: max(layer, head), heads: model.heads)
    }
}
