#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Text for a person: results on standard output, progress on standard error and only on a terminal.
final class Console {
    let quiet: Bool
    /// Standard output is a terminal and `NO_COLOR` is not set.
    let usesColor: Bool
    /// The terminal shows characters beyond ASCII.
    let usesUnicode: Bool
    /// Is told each line, also those that a quiet console keeps to itself.
    var listener: ((String) -> Void)?
    private let showsProgress: Bool
    private var progressShown = false

    init(quiet: Bool) {
        self.quiet = quiet
        usesColor = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
        showsProgress = !quiet && isatty(STDERR_FILENO) == 1
        usesUnicode = Self.localeIsUnicode
    }

    /// What the environment says about characters, the first of three variables that says anything.
    private static var localeIsUnicode: Bool {
        let names = ["LC_ALL", "LC_CTYPE", "LANG"]
        let values = names.map { getenv($0).map { String(cString: $0).uppercased() } ?? "" }
        guard let locale = values.first(where: { !$0.isEmpty }) else { return false }
        return locale.contains("UTF-8") || locale.contains("UTF8")
    }

    /// Columns for the progress line: one less than the terminal has, so that it never wraps.
    private var columns: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return 79 }
        return Int(size.ws_col) - 1
    }

    /// A line of results, even when quiet.
    func print(_ text: String) {
        listener?(text)
        show(text)
    }

    private func show(_ text: String) {
        endProgress()
        put(text.hasSuffix("\n") ? text : text + "\n", on: STDOUT_FILENO)
    }

    /// A line of information.
    func write(_ text: String) {
        listener?(text)
        if !quiet { show(text) }
    }

    func note(_ text: String) {
        listener?("note: " + text)
        endProgress()
        put("osler: note: \(text)\n", on: STDERR_FILENO)
    }

    /// Overwrites the progress line. A curve of `values` follows where there is room for one.
    func progress(_ text: String, curve values: [Double] = []) {
        guard showsProgress else { return }
        var line = String(text.prefix(columns))
        let room = columns - line.count - 2
        let (narrowest, widest) = (8, 40)
        if usesUnicode, room >= narrowest {
            line += "  " + Sparkline.text(values, width: min(room, widest))
        }
        put("\r\u{1B}[K" + line, on: STDERR_FILENO)
        progressShown = true
    }

    func progress(_ label: String, _ done: Int, _ total: Int) {
        progress("\(label) \(done * 100 / max(1, total)) %")
    }

    func endProgress() {
        guard progressShown else { return }
        put("\r\u{1B}[K", on: STDERR_FILENO)
        progressShown = false
    }

    /// Writes all of it at once, unbuffered; a reader that has gone ends the process quietly, as pipes do.
    private func put(_ text: String, on file: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Self.write(file, rest)
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }

    private static func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        #if canImport(Glibc)
            Glibc.write(file, bytes.baseAddress, bytes.count)
        #else
            Darwin.write(file, bytes.baseAddress, bytes.count)
        #endif
    }

    /// Says what is being done while `body` does it.
    func step<Result>(_ label: String, _ body: () throws -> Result) rethrows -> Result {
        progress(label + " ...")
        defer { endProgress() }
        return try body()
    }
}

extension Int {
    /// `512.3 MiB`, `3.35 GiB`
    var mebibytes: String {
        let mib = Double(self) / 1_048_576
        return mib < 1024 ? mib.fixed(1) + " MiB" : (mib / 1024).fixed(2) + " GiB"
    }

    /// `1,234,567`
    var grouped: String {
        var digits = String(magnitude)
        var parts: [String] = []
        while digits.count > 3 {
            parts.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (self < 0 ? "-" : "") + ([digits] + parts).joined(separator: ",")
    }
}

extension Double {
    /// With `digits` digits after the point.
    func fixed(_ digits: Int) -> String {
        guard isFinite else { return "\(self)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (magnitude * scale).rounded()
        guard scaled < 1e15 else { return "\(self)" }
        let whole = Int(scaled)
        guard digits > 0 else { return (self < 0 && whole != 0 ? "-" : "") + "\(whole)" }
        var text = String(whole)
        while text.count <= digits { text = "0" + text }
        let split = text.index(text.endIndex, offsetBy: -digits)
        return (self < 0 && whole != 0 ? "-" : "") + text[..<split] + "." + text[split...]
    }

    /// `2.00e-04`
    var scientific: String {
        guard self != 0 else { return "0.00e+00" }
        guard isFinite else { return "\(self)" }
        var (mantissa, exponent) = (magnitude, 0)
        while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
        while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        let power = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
        return (self < 0 ? "-" : "") + mantissa.fixed(2) + (exponent < 0 ? "e-" : "e+") + power
    }

    /// Seconds as `1:02:03` or `2:03`.
    var clock: String {
        guard isFinite else { return "?" }
        let seconds = Int(rounded())
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return hours > 0
            ? "\(hours):\(two(minutes)):\(two(seconds % 60))" : "\(minutes):\(two(seconds % 60))"
    }
}

extension String {
    func leftPadded(_ width: Int) -> String {
        String(repeating: " ", count: Swift.max(0, width - count)) + self
    }
    func rightPadded(_ width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - count))
    }
}
