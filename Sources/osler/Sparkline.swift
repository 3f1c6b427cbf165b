/// Numbers as a row of bars, lowest to highest: `█▆▄▂▁`.
enum Sparkline {
    private static let bars = Array("▁▂▃▄▅▆▇█")

    /// At most `width` bars; more numbers than that are averaged in groups. What is not finite is left out.
    static func text(_ values: [Double], width: Int) -> String {
        let values = values.filter(\.isFinite)
        let count = min(width, values.count)
        guard count > 0 else { return "" }
        let means = (0..<count).map { place in
            let group = values[place * values.count / count..<(place + 1) * values.count / count]
            return group.reduce(0, +) / Double(group.count)
        }
        guard let low = means.min(), let high = means.max() else { return "" }
        let scale = high > low ? Double(bars.count - 1) / (high - low) : 0
        return String(means.map { bars[Int((($0 - low) * scale).rounded())] })
    }
}
