internal import OslerCompute
package import OslerModels

/// Continues token sequences with a model, keeping keys and values of what it has read.
package final class Generator {
    /// Prompts are read in pieces of at most this many tokens, so that a long one needs no more memory than a short one.
    static let prefillTokens = 512

    package let model: CausalLM
    /// Asked before every piece of a prompt and every token.
    package var shouldStop: () -> Bool = { false }
    package let usesAdapters: Bool
    private let cache: KeyValueCache
    private let arena: Arena
    /// `[V]`, of the token after the last one read.
    private var logits: [Float] = []
    /// Tokens read so far, whose keys and values are kept.
    package private(set) var ids: [Int32] = []

    /// - Parameter capacity: the most tokens of prompt and answer together.
    package init(_ model: CausalLM, capacity: Int, usesAdapters: Bool = true) throws {
        precondition(capacity > 0 && capacity <= model.rotary.positions)
        (self.model, self.usesAdapters) = (model, usesAdapters)
        cache = try KeyValueCache(model, sequences: 1, capacity: capacity)
        arena = try Arena(
            backend: model.backend,
            byteCounts: try model.inferenceArenaBytes(
                tokens: min(Self.prefillTokens, capacity), rows: 1))
    }

    package var capacity: Int { cache.capacity }

    /// Forgets everything after the first `length` tokens.
    package func rewind(to length: Int) {
        precondition(length <= ids.count)
        ids.removeSubrange(length...)
        cache.lengths[0] = length
    }

    /// Makes `prompt` all that has been read. What it has in common with the tokens read before is not computed again.
    ///
    /// - Returns: false when `shouldStop` says so between two pieces of the prompt.
    private func restart(with prompt: [Int32]) throws -> Bool {
        let common = zip(ids, prompt).prefix { $0 == $1 }.count
        // The last token is always read: its logits are not kept.
        let kept = min(common, prompt.count - 1)
        rewind(to: kept)
        return try read(Array(prompt[kept...]))
    }

    /// Reads more tokens, so that `logits` are those of the next one; false when stopped between two pieces.
    private func read(_ newIDs: [Int32]) throws -> Bool {
        precondition(!newIDs.isEmpty && ids.count + newIDs.count <= capacity)
        var rest = newIDs[...]
        while !rest.isEmpty {
            if shouldStop() { return false }
            let piece = rest.prefix(Self.prefillTokens)
            rest = rest.dropFirst(piece.count)
            try model.advance(
                [(0, Array(piece))], cache: cache, usesAdapters: usesAdapters, arena: arena,
                logits: &logits)
            ids += piece
        }
        return true
    }

    package struct Output: Sendable, Equatable {
        /// New tokens, the stop token included.
        package var ids: [Int32] = []
        /// log p of each.
        package var logProbabilities: [Float] = []
        package var stopped = false
        package init() {}
    }

    /// How long the prompt took, and all tokens after the first.
    package struct Times: Sendable {
        package var prompt = Duration.zero
        package var decoding = Duration.zero
    }
    /// Of the last `generate`.
    package private(set) var times = Times()

    /// Restarts with `prompt`, then draws tokens until a stop token, `maxNewTokens`, or the capacity.
    ///
    /// - Parameter onToken: called with each token as it comes, but not the stop token; return false to stop.
    package func generate(
        _ prompt: [Int32], maxNewTokens: Int, stop: Set<Int32>, sampling: SamplingOptions,
        onToken: (Int32) throws -> Bool = { _ in true }
    ) throws -> Output {
        var sampler = Sampler(sampling)
        var output = Output()
        let clock = ContinuousClock()
        var start = clock.now
        var isGoing = try restart(with: prompt)
        times.prompt = clock.now - start
        start = clock.now
        defer { times.decoding = clock.now - start }
        while isGoing, output.ids.count < maxNewTokens, !shouldStop() {
            let id = logits.withUnsafeBufferPointer { logits in
                let id = sampler.next(logits)
                output.logProbabilities.append(logProbability(of: id, logits))
                return id
            }
            output.ids.append(id)
            if stop.contains(id) {
                output.stopped = true
                break
            }
            guard try onToken(id), ids.count < capacity, output.ids.count < maxNewTokens else {
                break
            }
            isGoing = try read([id])
        }
        return output
    }
}
