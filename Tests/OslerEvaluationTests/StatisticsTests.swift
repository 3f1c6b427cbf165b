import OslerEvaluation
import Testing

/// Values of statsmodels 0.15.0, SciPy 1.17.1 and NumPy 2.4.6.
@Suite struct StatisticsTests {
    @Test(arguments: [
        (0, 10, 0.0, 0.27753279986288926), (1, 10, 0.017876213095072924, 0.40415002679523854),
        (7, 10, 0.39677814746114537, 0.8922087325936989), (10, 10, 0.7224672001371106, 1.0),
        (137, 198, 0.62446728532143, 0.7520658632400586),
        (500, 1000, 0.4690696003681042, 0.5309303996318958),
        (999, 1000, 0.9943574414020421, 0.9998234536293739),
    ])
    func `Wilson intervals`(successes: Int, count: Int, low: Double, high: Double) {
        let found = Statistics.wilson(successes: successes, count: count)
        #expect(abs(found.low - low) < 1e-14 && abs(found.high - high) < 1e-14)
    }

    @Test func `nothing counted is anything from 0 to 1`() {
        #expect(Statistics.wilson(successes: 0, count: 0) == Interval(low: 0, high: 1))
    }

    @Test(arguments: [
        (0, 0, 1.0), (1, 0, 1.0), (0, 5, 0.0625), (12, 5, 0.143463134765625), (20, 20, 1.0),
        (40, 19, 0.008641499683281734), (300, 220, 0.0005194158496652906),
    ])
    func `McNemar's exact test`(won: Int, lost: Int, p: Double) {
        #expect(abs(Statistics.mcnemar(won: won, lost: lost) - p) < 1e-12 * max(p, 1e-3) * 100)
        #expect(
            Statistics.mcnemar(won: won, lost: lost) == Statistics.mcnemar(won: lost, lost: won))
    }

    /// The same draws and percentiles as NumPy: not near, but equal to rounding.
    @Test func `bootstrap intervals`() {
        func check(_ values: [Double], _ count: Int, _ seed: UInt64, _ low: Double, _ high: Double)
        {
            let found = Statistics.bootstrap(values, resamples: count, seed: seed)
            #expect(abs(found.low - low) < 1e-12 && abs(found.high - high) < 1e-12)
        }
        check([1, 0, -1, 1, 0, 0, 1, 1, -1, 0], 10_000, 0, -0.3, 0.6)
        let items = [Double](repeating: 1, count: 12) + [Double](repeating: -1, count: 5)
        let paired = items + [Double](repeating: 0, count: 181)
        check(paired, 10_000, 0, -0.005050505050505051, 0.07575757575757576)
        check(paired.dropLast(), 1001, 7, -0.005076142131979695, 0.07614213197969544)
        let few = (0..<23).map { Double($0 * $0 % 11) / 11 - 0.3 }
        check(few, 2000, 0, -0.05494071146245057, 0.15849802371541505)
        check(few, 2000, 816, -0.054940711462450574, 0.1545454545454546)
        let many = (0..<1000).map { Double($0 * $0 % 101) / 101 - 0.5 }
        check(many, 500, 3, -0.023593811881188125, 0.014963861386138602)
    }

    @Test func `a bootstrap of nothing is nothing`() {
        #expect(Statistics.bootstrap([]) == Interval(low: 0, high: 0))
    }
}
