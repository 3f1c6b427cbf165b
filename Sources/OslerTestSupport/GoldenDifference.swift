/// How far computed values are from expected ones. Print it in the comment of an `#expect`.
package struct GoldenDifference: Sendable, CustomStringConvertible {
    /// Largest absolute difference; infinite when only one of two values is finite or the counts
    /// differ.
    package private(set) var absolute: Float = 0
    /// `absolute` over the largest expected magnitude, as tolerances "relative to their maximum"
    /// mean it.
    package private(set) var relative: Float = 0
    /// Where the largest difference is.
    package private(set) var place = 0
    private var values: (Float, Float) = (0, 0)

    package init(_ computed: some Collection<Float>, _ expected: some Collection<Float>) {
        guard computed.count == expected.count else {
            (absolute, relative) = (.infinity, .infinity)
            values = (Float(computed.count), Float(expected.count))
            return
        }
        var largest: Float = 0
        for (place, (value, wanted)) in zip(computed, expected).enumerated() {
            if wanted.isFinite { largest = max(largest, abs(wanted)) }
            let difference = Self.distance(value, wanted)
            if difference > absolute {
                (absolute, self.place, values) = (difference, place, (value, wanted))
            }
        }
        relative = absolute == 0 ? 0 : absolute / largest
    }

    private static func distance(_ value: Float, _ wanted: Float) -> Float {
        if value == wanted || (value.isNaN && wanted.isNaN) { return 0 }
        let difference = abs(value - wanted)
        return difference.isNaN ? .infinity : difference
    }

    package var description: String {
        "absolute \(absolute), relative \(relative) at \(place): \(values.0) for \(values.1)"
    }
}
