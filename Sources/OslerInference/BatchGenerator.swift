internal import OslerCompute
package import OslerModels

/// Continues many prompts at once: a step of decoding reads the weights once for all of them. When an answer ends, the
/// next prompt takes its place.
///
/// Each prompt is read alone, and tokens are decoded in groups of `fewRows` at most, whose size changes no bit: so
/// every answer is the one that `Generator` gives.
package final class BatchGenerator {
    package struct Request: Sendable {
        package var prompt: [Int32]
        package var maxNewTokens: Int
        package var sampling: SamplingOptions

        package init(prompt: [Int32], maxNewTokens: Int, sampling: SamplingOptions) {
            (self.prompt, self.maxNewTokens, self.sampling) = (prompt, maxNewTokens, sampling)
        }
    }

    /// What was computed so far, and how long it took.
    package struct Work: Sendable {
        package var promptTokens = 0
        package var promptTime = Duration.zero
        package var decodedTokens = 0
        package var decodingTime = Duration.zero
    }

    /// A place in the cache and the answer that grows in it.
    private struct Slot {
        let request: Int
        let maxNewTokens: Int
        var sampler: Sampler
        var output = Generator.Output()
        /// What must come next instead of drawn tokens.
        var forced: [Int32] = []
    }

    private let model: CausalLM
    private let usesAdapters: Bool
    private let cache: KeyValueCache
    private let arena: Arena
    private var logits: [Float] = []
    private var slots: [Slot?]
    package private(set) var work = Work()
    /// Asked before every prompt and every step.
    package var shouldStop: () -> Bool = { false }
    /// Called with each new token of an answer that goes on: the tokens that it returns come next, whatever the model says.
    package var steer: ((_ index: Int, _ id: Int32) -> [Int32])?
    /// Called after each step.
    package var onStep: (Work) -> Void = { _ in }

    /// - Parameters:
    ///   - sequences: how many are continued at once.
    ///   - capacity: the most tokens of a prompt and its answer together.
    package init(
        _ model: CausalLM, sequences: Int, capacity: Int, usesAdapters: Bool = true
    ) throws {
        precondition(sequences > 0 && capacity > 0 && capacity <= model.rotary.positions)
        (self.model, self.usesAdapters) = (model, usesAdapters)
        cache = try KeyValueCache(model, sequences: sequences, capacity: capacity)
        slots = Array(repeating: nil, count: sequences)
        let group = min(sequences, fewRows)
        let prompts = try model.inferenceArenaBytes(
            tokens: min(Generator.prefillTokens, capacity), rows: 1)
        let steps = try model.inferenceArenaBytes(tokens: group, rows: group)
        arena = try Arena(
            backend: model.backend, byteCounts: zip(prompts, steps).map { max($0, $1) })
    }

    /// Answers `requests`; `onAnswer(index, answer)` is called as each one ends.
    ///
    /// - Returns: false when stopped before all were answered; unfinished answers are dropped.
    @discardableResult
    package func generate(
        _ requests: [Request], stop: Set<Int32>,
        onAnswer: (_ index: Int, _ answer: Generator.Output) throws -> Void
    ) throws -> Bool {
        defer { for place in slots.indices { slots[place] = nil } }
        var next = 0
        let clock = ContinuousClock()
        while true {
            for place in slots.indices {
                while slots[place] == nil, next < requests.count {
                    if shouldStop() { return false }
                    let request = requests[next]
                    precondition(!request.prompt.isEmpty && request.prompt.count < cache.capacity)
                    slots[place] = Slot(
                        request: next, maxNewTokens: request.maxNewTokens,
                        sampler: Sampler(request.sampling))
                    next += 1
                    work.promptTime += try clock.measure { try read(request.prompt, place) }
                    work.promptTokens += request.prompt.count
                    try choose(row: 0, place, stop, onAnswer)
                }
            }
            let places = slots.indices.filter { slots[$0] != nil }
            guard !places.isEmpty else { return true }
            if shouldStop() { return false }
            let start = clock.now
            for first in stride(from: 0, to: places.count, by: fewRows) {
                try decode(places[first..<min(first + fewRows, places.count)], stop, onAnswer)
            }
            work.decodingTime += clock.now - start
            work.decodedTokens += places.count
            onStep(work)
        }
    }

    private func read(_ prompt: [Int32], _ place: Int) throws {
        cache.lengths[place] = 0
        for start in stride(from: 0, to: prompt.count, by: Generator.prefillTokens) {
            let piece = prompt[start..<min(start + Generator.prefillTokens, prompt.count)]
            try model.advance(
                [(place, Array(piece))], cache: cache, usesAdapters: usesAdapters, arena: arena,
                logits: &logits)
        }
    }

    /// One token of some sequences.
    private func decode(
        _ places: ArraySlice<Int>, _ stop: Set<Int32>,
        _ onAnswer: (Int, Generator.Output) throws -> Void
    ) throws {
        let tokens = places.map {
            (sequence: $0, ids: Array(slots[$0]?.output.ids.suffix(1) ?? []))
        }
        try model.advance(
            tokens, cache: cache, usesAdapters: usesAdapters, arena: arena, logits: &logits)
        for (row, place) in places.enumerated() { try choose(row: row, place, stop, onAnswer) }
    }

    /// Draws the next token of a sequence from row `row` of the logits, and ends the answer when it is done.
    private func choose(
        row: Int, _ place: Int, _ stop: Set<Int32>,
        _ onAnswer: (Int, Generator.Output) throws -> Void
    ) throws {
        guard var slot = slots[place] else { return }
        // Changed in place, not copied.
        slots[place] = nil
        let vocabulary = model.configuration.vocabularySize
        logits.withUnsafeBufferPointer { all in
            let own = UnsafeBufferPointer(
                rebasing: all[row * vocabulary..<(row + 1) * vocabulary])
            let id = slot.forced.isEmpty ? slot.sampler.next(own) : slot.forced.removeFirst()
            slot.output.ids.append(id)
            slot.output.logProbabilities.append(logProbability(of: id, own))
            slot.output.stopped = stop.contains(id)
        }
        if slot.output.stopped || slot.output.ids.count >= slot.maxNewTokens
            || cache.lengths[place] >= cache.capacity
        {
            try onAnswer(slot.request, slot.output)
        } else {
            if let steer, let last = slot.output.ids.last {
                slot.forced += steer(slot.request, last)
            }
            slots[place] = slot
        }
    }
}
