#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How the next token is chosen from logits, in transformers' order: temperature, top-k, top-p, then a draw.
package struct SamplingOptions: Sendable, Equatable {
    /// 0 is greedy: always the largest logit.
    package var temperature = 0.0
    /// Only the k largest logits; nil: all.
    package var topK: Int?
    /// Only the smallest set of tokens whose probabilities reach p.
    package var topP = 1.0
    package var seed: UInt64 = 0

    package init() {}
    package static let greedy = SamplingOptions()
}

/// Draws tokens; the same seed and logits give the same tokens.
package struct Sampler: Sendable {
    private let options: SamplingOptions
    private var state: UInt64

    private struct Candidate {
        let id: Int32
        /// Probability up to a factor.
        let weight: Double
    }

    package init(_ options: SamplingOptions) {
        self.options = options
        state = options.seed
    }

    package mutating func next(_ logits: [Float]) -> Int32 {
        guard options.temperature > 0 else { return Self.largest(logits) }
        var candidates = weighted(logits)
        if let topK = options.topK, topK < candidates.count {
            // Ties with the k-th.
            candidates.sort(by: Self.precedes)
            candidates.removeSubrange(max(1, topK)...)
        }
        if options.topP < 1 { candidates = nucleus(candidates) }
        var draw = uniform() * candidates.reduce(0) { $0 + $1.weight }
        for candidate in candidates {
            draw -= candidate.weight
            if draw < 0 { return candidate.id }
        }
        // Rounding left a little of the sum; every candidate has a weight above zero.
        return candidates.last?.id ?? Self.largest(logits)
    }

    /// Softmax without its divisor, of all logits or of those that are not below the k-th.
    private func weighted(_ logits: [Float]) -> [Candidate] {
        let top = Double(logits.max() ?? 0)
        let floor =
            options.topK.map {
                Self.largest(min(max(1, $0), logits.count), of: logits)
            } ?? -.infinity
        var candidates: [Candidate] = []
        for (index, logit) in logits.enumerated() where logit >= floor {
            let weight = exp((Double(logit) - top) / options.temperature)
            if weight > 0 { candidates.append(Candidate(id: Int32(index), weight: weight)) }
        }
        return candidates
    }

    /// The smallest set, most probable first, whose share reaches top-p (Holtzman et al. 2020).
    private func nucleus(_ candidates: [Candidate]) -> [Candidate] {
        let total = candidates.reduce(0) { $0 + $1.weight }
        // All that weigh less than this are together less than 1 - p: they can't be in the set, and needn't be sorted.
        let floor = (1 - options.topP) * total / Double(candidates.count)
        let sorted = candidates.filter { $0.weight >= floor }.sorted(by: Self.precedes)
        var sum = 0.0
        let last = sorted.firstIndex { candidate in
            sum += candidate.weight
            return sum >= options.topP * total
        }
        return Array(sorted[...(last ?? sorted.count - 1)])
    }

    private static func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
        a.weight != b.weight ? a.weight > b.weight : a.id < b.id
    }

    /// The `count`-th largest value, by a sorted list of the largest so far where it is short.
    private static func largest(_ count: Int, of values: [Float]) -> Float {
        if count > 256 { return values.sorted(by: >)[count - 1] }
        var largest: [Float] = []
        for value in values where largest.count < count || value > largest[count - 1] {
            if largest.count == count { largest.removeLast() }
            largest.insert(value, at: largest.firstIndex { $0 < value } ?? largest.count)
        }
        return largest.last ?? -.infinity
    }

    /// The first of the largest.
    static func largest(_ logits: [Float]) -> Int32 {
        var best = (index: 0, value: -Float.infinity)
        for (index, value) in logits.enumerated() where value > best.value { best = (index, value) }
        return Int32(best.index)
    }

    /// In [0, 1): 53 bits of SplitMix64 (Steele et al. 2014).
    private mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
    }
}
