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

    package init(_ options: SamplingOptions) {
        self.options = options
        state = options.seed
    }

    package mutating func next(_ logits: some RandomAccessCollection<Float>) -> Int32 {
        guard options.temperature > 0 else { return Self.largest(logits) }
        var candidates = logits.enumerated().map { (id: Int32($0.offset), logit: $0.element) }
        candidates.sort { $0.logit != $1.logit ? $0.logit > $1.logit : $0.id < $1.id }
        if let topK = options.topK { candidates = Array(candidates.prefix(max(1, topK))) }
        let top = Double(candidates[0].logit)
        var weights = candidates.map { exp((Double($0.logit) - top) / options.temperature) }
        if options.topP < 1 {
            let total = weights.reduce(0, +)
            var sum = 0.0
            let count = weights.firstIndex { weight in
                sum += weight / total
                return sum >= options.topP
            }
            weights = Array(weights.prefix((count ?? weights.count - 1) + 1))
        }
        var draw = uniform() * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            draw -= weight
            if draw < 0 { return candidates[index].id }
        }
        return candidates[weights.count - 1].id
    }

    /// The first of the largest.
    static func largest(_ logits: some RandomAccessCollection<Float>) -> Int32 {
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
