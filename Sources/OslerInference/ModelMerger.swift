internal import OslerCompute
internal import OslerFormats
package import OslerModels
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Puts a LoRA adapter into its base model: `W + s B A` in float32, rounded to bfloat16 once, as PEFT's `merge_and_unload`
/// on a bfloat16 model gives it. 4-bit bases are dequantized, never quantized again.
package struct ModelMerger {
    /// What the check before keeping the merged model found.
    package struct Agreement: Sendable, Equatable {
        /// Kullback-Leibler divergence of the merged model's next-token distribution from that of base and adapter, mean
        /// over the probe's tokens, in nats.
        package var divergence: Double
        /// Share of the probe's tokens after which both have the same most probable token.
        package var sameTop: Double
    }

    /// Rounding to bfloat16 alone stays far below this.
    package static let largestDivergence = 0.02

    private let files: ModelFiles
    private let adapterFolder: String
    private let backend: CPUBackend
    private let progress: (Int, Int) throws -> Void

    /// - Parameter progress: called with weights done and weights in all.
    package init(
        _ files: ModelFiles, adapter: String, threads: Int? = nil,
        progress: @escaping (Int, Int) throws -> Void = { _, _ in }
    ) throws {
        (self.files, adapterFolder, self.progress) = (files, adapter, progress)
        backend = try CPUBackend(precision: .float32, threads: threads)
    }

    /// Writes the merged weights into `folder` and checks them there against base and adapter on `probe`.
    ///
    /// - Throws: `InputError` when the adapter doesn't fit, nothing can be written, or the two disagree.
    package func merge(
        into folder: String, probe: [Int32], largestDivergence: Double = largestDivergence
    ) throws -> Agreement {
        let (expected, adapter) = try expected(probe)
        try ModelFolder.writeDescription(of: files, into: folder, quantization: nil)
        try writeWeights(into: folder, pairs: adapter)
        let merged = try ModelLoader(ModelFiles(folder), backend: backend).load(
            positions: probe.count)
        let agreement = agreement(expected, try logits(merged, probe))
        guard agreement.divergence <= largestDivergence else {
            throw InputError(
                "the merged model differs from base and adapter: divergence \(agreement.divergence) nats "
                    + "(at most \(largestDivergence)), nothing is kept",
                file: adapterFolder, remedy: "use the adapter unmerged")
        }
        return agreement
    }

    private func expected(_ probe: [Int32]) throws -> (logits: [Float], pairs: [String: LoRAPair]) {
        let model = try ModelLoader(files, backend: backend).load(positions: probe.count)
        try model.attachAdapter(from: adapterFolder)
        let pairs = (model.adapter?.modules ?? []).map { ($0.name, $0.pair) }
        return (try logits(model, probe), Dictionary(uniqueKeysWithValues: pairs))
    }

    private func logits(_ model: CausalLM, _ probe: [Int32]) throws -> [Float] {
        let bytes = try model.inferenceArenaBytes(tokens: probe.count, rows: probe.count)
        return try model.logits(
            TokenBatch(sequences: [probe], allTargets: false),
            arena: Arena(backend: backend, byteCounts: bytes))
    }

    private func agreement(_ expected: [Float], _ merged: [Float]) -> Agreement {
        let vocabulary = files.configuration.vocabularySize
        let rows = expected.count / vocabulary
        var (divergence, same) = (0.0, 0)
        for row in 0..<rows {
            let range = row * vocabulary..<(row + 1) * vocabulary
            let (p, q) = (logSoftmax(expected[range]), logSoftmax(merged[range]))
            divergence += zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }
            if p.firstIndex(of: p.max() ?? 0) == q.firstIndex(of: q.max() ?? 0) { same += 1 }
        }
        return Agreement(
            divergence: divergence / Double(rows), sameTop: Double(same) / Double(rows))
    }

    // MARK: Weights

    private func writeWeights(into folder: String, pairs: [String: LoRAPair]) throws {
        let weights = try files.configuration.weights()
        let byName = Dictionary(uniqueKeysWithValues: weights.map { ($0.name, $0) })
        let loader = try ModelLoader(files, backend: backend)
        var done = 0
        try ShardedWeights.write(
            weights.map { [.init($0.name, .bfloat16, $0.shape)] }, into: folder
        ) { entry, write in
            guard let weight = byName[entry.name] else { return }
            let values = try dense(try loader.weight(weight.name, weight.shape), weight.shape)
            if let module = weight.module, let pair = pairs[module] {
                backend.multiply(
                    [.backward(pair.b, .dense(pair.a), scale: pair.scale)], adding: values,
                    bias: nil, into: values)
            }
            let rounded = try backend.tensor(.bfloat16, weight.shape)
            backend.copy(values, to: rounded)
            try rounded.withBytes(write)
            done += 1
            try progress(done, weights.count)
        }
    }

    /// The weight in float32, in memory of its own.
    private func dense(_ weight: FrozenMatrix, _ shape: [Int]) throws -> Tensor {
        let values = try backend.tensor(.float32, shape)
        switch weight {
        case .dense(let tensor): backend.copy(tensor, to: values)
        case .nf4(let matrix): NF4.dequantize(matrix, into: values, on: backend.pool)
        }
        return values
    }
}
