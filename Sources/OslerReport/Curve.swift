/// A line chart as inline SVG.
struct Curve {
    struct Series {
        var name: String
        /// Which of the two colours.
        var color: Int
        var points: [(x: Double, y: Double)]
        /// Points are marked, where there are few.
        var isMarked = false
    }

    var title: String
    var series: [Series]
    /// A level to compare with, drawn as a dashed line.
    var level: (name: String, y: Double)?
    var startsAtZero = false
    var format: (Double) -> String = Figures.short
    /// Of a tick, given the distance to the next.
    var tickFormat: (Double, Double) -> String = Figures.tick
    /// Ticks stand at multiples of this times 1, 2 or 5.
    var unit = 1.0

    private static let size = (width: 480.0, height: 240.0)
    private static let frame = (left: 62.0, right: 468.0, top: 14.0, bottom: 208.0)
    private static let mostPoints = 300

    var html: HTML {
        let series = series.map(Self.thinned).filter { !$0.points.isEmpty }
        guard !series.isEmpty else { return "" }
        let points = series.flatMap(\.points)
        let levels = level.map { [$0.y] } ?? []
        let (xs, ys) = (points.map(\.x), points.map(\.y) + levels.filter(\.isFinite))
        let x = Self.range(xs, padding: 0)
        var y = Self.range(ys, padding: 0.06)
        if startsAtZero { y = 0...max(y.upperBound, 1e-12) }
        let plot = Plot(x: x, y: y)
        let lines: [HTML] = series.map { drawn($0, plot) }
        let name = series.map(\.name).joined(separator: ", ")
        return """
            <figure class="chart"><figcaption>\(title)\(legend(series))</figcaption>
            <svg viewBox="0 0 \(Int(Self.size.width)) \(Int(Self.size.height))" role="img" aria-label="\(title): \(name)">
            \(axes(plot))\(levelLine(plot))\(lines)</svg></figure>
            """
    }

    private struct Plot {
        let x: ClosedRange<Double>
        let y: ClosedRange<Double>

        func place(_ point: (x: Double, y: Double)) -> (x: String, y: String) {
            let frame = Curve.frame
            let across = (point.x - x.lowerBound) / (x.upperBound - x.lowerBound)
            let up = (point.y - y.lowerBound) / (y.upperBound - y.lowerBound)
            return (
                Curve.coordinate(frame.left + across * (frame.right - frame.left)),
                Curve.coordinate(frame.bottom - up * (frame.bottom - frame.top))
            )
        }
    }

    private static func coordinate(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    private static func range(_ values: [Double], padding: Double) -> ClosedRange<Double> {
        let (low, high) = (values.min() ?? 0, values.max() ?? 1)
        guard high > low else {
            return low - max(low.magnitude * 0.1, 0.5)...high + max(high.magnitude * 0.1, 0.5)
        }
        return low - (high - low) * padding...high + (high - low) * padding
    }

    /// Long runs: means of neighbours.
    private static func thinned(_ series: Series) -> Series {
        var series = series
        series.points = series.points.filter { $0.x.isFinite && $0.y.isFinite }
        let points = series.points
        guard points.count > mostPoints else { return series }
        series.points = (0..<mostPoints).map { place in
            let group = points[
                place * points.count / mostPoints..<(place + 1) * points.count / mostPoints]
            let sum = group.reduce((x: 0.0, y: 0.0)) { ($0.x + $1.x, $0.y + $1.y) }
            return (sum.x / Double(group.count), sum.y / Double(group.count))
        }
        return series
    }

    private func legend(_ series: [Series]) -> HTML {
        var keys: [HTML] = []
        if series.count > 1 {
            keys = series.map { "<span class=\"key s\($0.color)\">\($0.name)</span>" }
        }
        if let level { keys.append("<span class=\"key level\">\(level.name)</span>") }
        return "<span class=\"legend\">\(keys)</span>"
    }

    private func drawn(_ series: Series, _ plot: Plot) -> HTML {
        let places = series.points.map { plot.place($0) }
        let path = places.enumerated().map {
            ($0.offset == 0 ? "M" : "L") + $0.element.x + " " + $0.element.y
        }
        .joined()
        let isMarked = series.isMarked || places.count == 1
        let dots: [HTML] = zip(series.points, places).map { point, place in
            let tip = "\(series.name), step \(Figures.fixed(point.x, 0)): \(format(point.y))"
            let dot: HTML =
                isMarked
                ? "<circle class=\"dot\" cx=\"\(place.x)\" cy=\"\(place.y)\" r=\"4\"/>" : ""
            return
                "\(dot)<circle class=\"tip\" cx=\"\(place.x)\" cy=\"\(place.y)\" r=\"7\"><title>\(tip)</title></circle>"
        }
        return "<g class=\"s\(series.color)\"><path class=\"line\" d=\"\(path)\"/>\(dots)</g>"
    }

    private func levelLine(_ plot: Plot) -> HTML {
        guard let level, level.y.isFinite else { return "" }
        let y = plot.place((plot.x.lowerBound, level.y)).y
        let (left, right) = (Self.coordinate(Self.frame.left), Self.coordinate(Self.frame.right))
        return "<line class=\"level\" x1=\"\(left)\" x2=\"\(right)\" y1=\"\(y)\" y2=\"\(y)\"/>"
    }

    // MARK: Axes

    private func axes(_ plot: Plot) -> HTML {
        let (left, right) = (Self.coordinate(Self.frame.left), Self.coordinate(Self.frame.right))
        let levels = Self.ticks(plot.y, most: 5, unit: unit)
        let distance = levels.count > 1 ? levels[1] - levels[0] : 0
        let across: [HTML] = levels.map { value in
            let y = plot.place((plot.x.lowerBound, value)).y
            let label = tickFormat(value, distance)
            return """
                <line class="grid" x1="\(left)" x2="\(right)" y1="\(y)" y2="\(y)"/>\
                <text class="y" x="\(Self.coordinate(Self.frame.left - 8))" y="\(y)" dy="4">\(label)</text>
                """
        }
        let steps = Self.ticks(plot.x, most: 6, unit: 1).filter { $0 == $0.rounded() }
        let below: [HTML] = steps.map { value in
            let x = plot.place((value, plot.y.lowerBound)).x
            return
                "<text class=\"x\" x=\"\(x)\" y=\"\(Self.coordinate(Self.frame.bottom + 20))\">\(Figures.fixed(value, 0))</text>"
        }
        let bottom = Self.coordinate(Self.frame.bottom)
        return
            "\(across)<line class=\"axis\" x1=\"\(left)\" x2=\"\(right)\" y1=\"\(bottom)\" y2=\"\(bottom)\"/>\(below)"
    }

    /// Round numbers in a range: multiples of 1, 2 or 5 times a power of ten, at most `most`.
    static func ticks(_ range: ClosedRange<Double>, most: Int, unit: Double) -> [Double] {
        let width = (range.upperBound - range.lowerBound) / unit
        guard width.isFinite, width > 0 else { return [] }
        var power = 1.0
        while power * 10 <= width / Double(most) { power *= 10 }
        while power > width / Double(most) { power /= 10 }
        let step =
            [1, 2, 5, 10].map { $0 * power }.first { width / $0 <= Double(most) } ?? power * 10
        let first = (range.lowerBound / unit / step).rounded(.up)
        return (0...most).map { (first + Double($0)) * step * unit }
            .filter { $0 <= range.upperBound + width * unit * 1e-9 }
    }
}
