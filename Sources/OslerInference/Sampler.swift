internal import OslerCompute

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
        let weight: Float
    }
    private var weights: [Float] = []

    package init(_ options: SamplingOptions) {
        self.options = options
        state = options.seed
    }

    package mutating func next(_ logits: [Float]) -> Int32 {
        logits.withUnsafeBufferPointer { next($0) }
    }

    package mutating func next(_ logits: UnsafeBufferPointer<Float>) -> Int32 {
        guard options.temperature > 0 else { return Self.firstLargest(logits) }
        let total = weigh(logits)
        let share = uniform()
        guard options.topK != nil || options.topP < 1 else {
            return Self.chosen(share * total, weights.indices) {
                Candidate(id: Int32($0), weight: weights[$0])
            }
        }
        var candidates = candidates(logits, total: total)
        var sum = candidates.reduce(0) { $0 + Double($1.weight) }
        if options.topP < 1 {
            (candidates, sum) = nucleus(candidates, of: options.topK == nil ? total : sum)
        }
        return Self.chosen(share * sum, candidates.indices) { candidates[$0] }
    }

    /// The candidate in whose weight `draw` falls when weights are laid end to end.
    private static func chosen(
        _ draw: Double, _ indices: Range<Int>, _ candidate: (Int) -> Candidate
    ) -> Int32 {
        var (rest, last): (Double, Int32) = (draw, 0)
        for index in indices {
            let candidate = candidate(index)
            guard candidate.weight > 0 else { continue }
            rest -= Double(candidate.weight)
            last = candidate.id
            if rest < 0 { break }
        }
        // Rounding may leave a little of the sum: then it is the last one.
        return last
    }

    /// Softmax without its divisor of all logits, and its sum.
    private mutating func weigh(_ logits: UnsafeBufferPointer<Float>) -> Double {
        if weights.count != logits.count {
            weights = [Float](repeating: 0, count: logits.count)
        }
        let (top, scale) = (OslerInference.largest(logits), Float(1 / options.temperature))
        return weights.withUnsafeMutableBufferPointer {
            exponentialSum(logits, top: top, scale: scale, into: $0)
        }
    }

    /// The top-k, most probable first; without top-k those that can be in the nucleus.
    private func candidates(
        _ logits: UnsafeBufferPointer<Float>, total: Double
    ) -> [Candidate] {
        guard let topK = options.topK else {
            // All that weigh less are together less than 1 - p: they can't be in the set, and needn't be sorted.
            let floor = Float((1 - options.topP) * total / Double(weights.count))
            return weights.enumerated().filter { $0.element >= floor && $0.element > 0 }
                .map { Candidate(id: Int32($0.offset), weight: $0.element) }
                .sorted(by: Self.precedes)
        }
        let floor = Self.largest(min(max(1, topK), logits.count), of: logits)
        let all = logits.indices.lazy.filter { logits[$0] >= floor }
            .map { Candidate(id: Int32($0), weight: weights[$0]) }
        // Ties with the k-th.
        return Array(all.sorted(by: Self.precedes).prefix(max(1, topK)))
    }

    /// The smallest set whose share of `total` reaches top-p (Holtzman et al. 2020), and its sum.
    private func nucleus(
        _ sorted: [Candidate], of total: Double
    ) -> ([Candidate], Double) {
        var sum = 0.0
        let last = sorted.firstIndex { candidate in
            sum += Double(candidate.weight)
            return sum >= options.topP * total
        }
        return (Array(sorted[...(last ?? sorted.count - 1)]), sum)
    }

    private static func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
        a.weight != b.weight ? a.weight > b.weight : a.id < b.id
    }

    /// The `count`-th largest value, by a sorted list of the largest so far where it is short.
    private static func largest(_ count: Int, of values: UnsafeBufferPointer<Float>) -> Float {
        if count > 256 { return values.sorted(by: >)[count - 1] }
        var largest: [Float] = []
        for value in values where largest.count < count || value > largest[count - 1] {
            if largest.count == count { largest.removeLast() }
            largest.insert(value, at: largest.firstIndex { $0 < value } ?? largest.count)
        }
        return largest.last ?? -.infinity
    }

    /// The first of the largest.
    static func firstLargest(_ logits: UnsafeBufferPointer<Float>) -> Int32 {
        let top = OslerInference.largest(logits)
        return Int32(logits.firstIndex(of: top) ?? 0)
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
