/// How many rows have how many tokens.
package struct LengthHistogram: Sendable, Equatable {
    package struct Bar: Sendable, Equatable {
        package var range: Range<Int>
        package var count: Int
    }

    package var bars: [Bar]
    package var rowCount: Int
    package var shortest: Int
    package var median: Int
    /// The length that 95% of the rows don't exceed.
    package var percentile95: Int
    package var longest: Int
    package var mean: Double

    /// - Parameter maxBars: bars are as wide as the smallest power of two that needs no more.
    package init(_ lengths: [Int], maxBars: Int = 12) {
        let sorted = lengths.sorted()
        rowCount = sorted.count
        shortest = sorted.first ?? 0
        longest = sorted.last ?? 0
        func quantile(_ share: Double) -> Int {
            sorted.isEmpty
                ? 0 : sorted[max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
        }
        median = quantile(0.5)
        percentile95 = quantile(0.95)
        mean = sorted.isEmpty ? 0 : Double(sorted.reduce(0, +)) / Double(sorted.count)
        var width = 8
        while longest / width - shortest / width >= maxBars { width *= 2 }
        guard !sorted.isEmpty else {
            bars = []
            return
        }
        let first = shortest / width
        bars = (first...longest / width).map {
            Bar(range: $0 * width..<($0 + 1) * width, count: 0)
        }
        for length in sorted { bars[length / width - first].count += 1 }
    }

    /// One line a bar, `limit` marked.
    package func lines(limit: Int?, width: Int = 40) -> [String] {
        let highest = max(1, bars.map(\.count).max() ?? 1)
        let digits = String(bars.last?.range.upperBound ?? 0).count
        return bars.map { bar in
            // Every row shows: at least an eighth of a block.
            let eighths = (bar.count * width * 8 + highest - 1) / highest
            let blocks = String(repeating: "█", count: eighths / 8)
            let rest =
                eighths % 8 == 0
                ? "" : String(["▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8 - 1])
            let from = String(bar.range.lowerBound).padded(to: digits)
            let to = String(bar.range.upperBound - 1).padded(to: digits)
            let mark =
                limit.map { bar.range.contains($0) ? "  <- max_length \($0)" : "" } ?? ""
            return "  \(from)-\(to)  \(blocks)\(rest) \(bar.count)\(mark)"
        }
    }
}

extension String {
    /// Spaces in front, up to `count` characters.
    func padded(to count: Int) -> String {
        String(repeating: " ", count: max(0, count - self.count)) + self
    }
}
