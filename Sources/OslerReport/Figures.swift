/// Numbers as a report shows them.
enum Figures {
    /// With `digits` digits after the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return "\u{2013}" }
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = (value.magnitude * scale).rounded()
        guard scaled < 1e15 else { return "\(value)" }
        let digitsText = String(Int(scaled))
        let padded =
            String(repeating: "0", count: max(0, digits + 1 - digitsText.count)) + digitsText
        let sign = value < 0 && scaled != 0 ? "\u{2212}" : ""
        guard digits > 0 else { return sign + grouped(padded) }
        return sign + grouped(String(padded.dropLast(digits))) + "." + padded.suffix(digits)
    }

    /// A setting: whole numbers without a point.
    static func setting(_ value: Double) -> String {
        Int(exactly: value).map { count($0) } ?? short(value)
    }

    /// Three or four digits that count; an exponent where there would be many zeros.
    static func short(_ value: Double) -> String {
        let size = value.magnitude
        if size == 0 { return "0" }
        if size < 1e-3 || size >= 1e7 { return scientific(value) }
        return fixed(value, size < 0.1 ? 4 : size < 10 ? 3 : size < 100 ? 2 : size < 1000 ? 1 : 0)
    }

    /// With as many digits as the distance between two ticks has.
    static func tick(_ value: Double, distance: Double) -> String {
        if value == 0 { return "0" }
        if distance <= 0 { return short(value) }
        if distance < 1e-4 || value.magnitude >= 1e7 { return scientific(value) }
        var (digits, unit) = (0, 1.0)
        while unit > distance * (1 + 1e-9), digits < 6 { (digits, unit) = (digits + 1, unit / 10) }
        return fixed(value, digits)
    }

    /// A round number of bytes.
    static func bytesTick(_ value: Double, distance: Double) -> String {
        value == 0 ? "0" : bytes(value).replacing(".00", with: "").replacing(".0 ", with: " ")
    }

    static func scientific(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return "0" }
        var (mantissa, exponent) = (value.magnitude, 0)
        while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
        while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        var text = fixed(mantissa, 2)
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return (value < 0 ? "\u{2212}" : "") + text + "e\(exponent)"
    }

    static func count(_ value: Int) -> String {
        (value < 0 ? "\u{2212}" : "") + grouped(String(value.magnitude))
    }

    private static func grouped(_ digits: String) -> String {
        var (rest, parts): (Substring, [Substring]) = (digits[...], [])
        while rest.count > 3 {
            parts.insert(rest.suffix(3), at: 0)
            rest = rest.dropLast(3)
        }
        return ([rest] + parts).joined(separator: ",")
    }

    static func bytes(_ value: Double) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var (value, unit) = (value, 0)
        while value.magnitude >= 1024, unit < units.count - 1 {
            (value, unit) = (value / 1024, unit + 1)
        }
        return fixed(value, unit == 0 ? 0 : value < 100 ? 2 : 1) + " " + units[unit]
    }

    /// `1 h 02 min`, `3 min 05 s`, `12.3 s`
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "\u{2013}" }
        if seconds < 60 { return fixed(seconds, 1) + " s" }
        let whole = Int(seconds.rounded())
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return whole < 3600
            ? "\(whole / 60) min \(two(whole % 60)) s"
            : "\(whole / 3600) h \(two(whole / 60 % 60)) min"
    }

    static func percent(_ share: Double) -> String { fixed(share * 100, 1) + " %" }

    /// A difference of shares, in percentage points with its sign.
    static func points(_ difference: Double) -> String {
        (difference > 0 ? "+" : "") + fixed(difference * 100, 1)
    }
}
