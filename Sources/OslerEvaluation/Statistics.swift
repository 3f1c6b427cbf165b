internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A value with the interval that holds it with 95 % confidence.
package struct Interval: Sendable, Equatable {
    package var low: Double
    package var high: Double

    package init(low: Double, high: Double) { (self.low, self.high) = (low, high) }
}

/// The statistics of comparisons; checked against statsmodels, SciPy and NumPy.
package enum Statistics {
    /// The 97.5 % point of the normal distribution.
    private static let z = 1.959_963_984_540_054

    /// Wilson's score interval (1927) of `successes` out of `count`, as statsmodels' `proportion_confint(method="wilson")`.
    package static func wilson(successes: Int, count: Int) -> Interval {
        guard count > 0 else { return Interval(low: 0, high: 1) }
        let n = Double(count)
        let p = Double(successes) / n
        let scale = 1 + z * z / n
        let center = (p + z * z / (2 * n)) / scale
        let half = z / scale * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return Interval(
            low: successes == 0 ? 0 : max(0, center - half),
            high: successes == count ? 1 : min(1, center + half))
    }

    /// McNemar's exact test (1947): the two-sided binomial probability of as uneven a split of the items that only one
    /// side got right. As statsmodels' `mcnemar(exact=True)`.
    package static func mcnemar(won: Int, lost: Int) -> Double {
        let n = won + lost
        guard n > 0 else { return 1 }
        let logHalf = log(0.5) * Double(n)
        var sum = 0.0
        for k in 0...min(won, lost) {
            sum += exp(logFactorial(n) - logFactorial(k) - logFactorial(n - k) + logHalf)
        }
        return min(1, 2 * sum)
    }

    private static func logFactorial(_ n: Int) -> Double { lgamma(Double(n) + 1) }

    /// The percentile interval of the mean of paired differences under resampling of items (Efron 1979).
    ///
    /// The same draws as `numpy.random.default_rng(seed).integers(0, n, size=(resamples, n))`, and NumPy's linear percentiles.
    package static func bootstrap(
        _ differences: [Double], resamples: Int = 10_000, seed: UInt64 = 0
    ) -> Interval {
        let n = differences.count
        guard n > 0 else { return Interval(low: 0, high: 0) }
        var generator = NumPyGenerator(seed: seed)
        var means = [Double](repeating: 0, count: resamples)
        for resample in means.indices {
            var sum = 0.0
            for _ in 0..<n { sum += differences[Int(generator.integer(below: UInt32(n)))] }
            means[resample] = sum / Double(n)
        }
        means.sort()
        return Interval(low: percentile(means, 0.025), high: percentile(means, 0.975))
    }

    private static func percentile(_ sorted: [Double], _ share: Double) -> Double {
        let place = share * Double(sorted.count - 1)
        let below = Int(place)
        let above = min(below + 1, sorted.count - 1)
        return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
    }
}

extension NumPyGenerator {
    /// `Generator.integers(0, bound)` for a bound of 32 bits (Lemire 2019).
    mutating func integer(below bound: UInt32) -> UInt32 {
        // NumPy draws nothing where there is no choice.
        if bound <= 1 { return 0 }
        var product = UInt64(next32()) * UInt64(bound)
        if UInt32(truncatingIfNeeded: product) < bound {
            let threshold = (0 &- bound) % bound
            while UInt32(truncatingIfNeeded: product) < threshold {
                product = UInt64(next32()) * UInt64(bound)
            }
        }
        return UInt32(truncatingIfNeeded: product >> 32)
    }
}
