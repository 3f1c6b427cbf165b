/// The simple expressions that DeepSeek's and others' pre-tokenizers are made of: a run of one set of
/// characters, perhaps after one white character, such as `\s?[!-/:-~]+`, `[一-龥]+`, `\p{N}{1,3}`.
struct ClassRun: Sendable, Equatable {
    /// What may stand before the run.
    enum Lead: Equatable { case nothing, space, anyWhite }

    var lead = Lead.nothing
    var classes: CharacterClass = []
    var ranges: [ClosedRange<UInt32>] = []
    /// The longest run that one match takes.
    var limit = Int.max

    /// Reads `pattern`; nil if it is anything but a run.
    init?(_ pattern: String) {
        var reader = Reader(pattern)
        if reader.take("\\s?") { lead = .anyWhite } else if reader.take(" ?") { lead = .space }
        if reader.take("[") {
            guard let (classes, ranges) = reader.set() else { return nil }
            (self.classes, self.ranges) = (classes, ranges)
        } else if let (classes, ranges) = reader.escapedClass() {
            (self.classes, self.ranges) = (classes, ranges)
        } else {
            return nil
        }
        if reader.take("{1,3}") { limit = 3 } else if !reader.take("+") { limit = 1 }
        guard reader.isAtEnd else { return nil }
    }

    /// `\p{N}+` or single numbers, what the `Digits` pre-tokenizer isolates.
    init(digitsOneByOne: Bool) {
        classes = .number
        limit = digitsOneByOne ? 1 : .max
    }

    @inline(__always) private func contains(at i: Int, in text: TextCursor) -> Int? {
        let (kind, next) = text.character(at: i)
        if kind.has(classes) { return next }
        if ranges.isEmpty { return nil }
        let scalar = text.decode(at: i).scalar
        for range in ranges where range.contains(scalar) { return next }
        return nil
    }

    /// The end of the match at `i`; `i` where there is none.
    func match(at i: Int, in text: TextCursor) -> Int {
        var j = i
        if lead == .anyWhite {
            let (kind, next) = text.character(at: i)
            if kind.has(.space) { j = next }
        } else if lead == .space, text.base[i] == UInt8(ascii: " ") {
            j = i + 1
        }
        let stop = run(from: j, in: text)
        if stop > j || j == i { return stop }
        return run(from: i, in: text)
    }

    @inline(__always) private func run(from i: Int, in text: TextCursor) -> Int {
        var (i, left) = (i, limit)
        while left > 0, i < text.end, let next = contains(at: i, in: text) {
            (i, left) = (next, left - 1)
        }
        return i
    }
}

extension ClassRun {
    /// Reads the part of the syntax of regular expressions that a run needs.
    private struct Reader {
        var scalars: [Unicode.Scalar]
        var position = 0

        init(_ pattern: String) { scalars = Array(pattern.unicodeScalars) }

        var isAtEnd: Bool { position == scalars.count }

        mutating func take(_ text: String) -> Bool {
            let wanted = Array(text.unicodeScalars)
            guard scalars[position...].starts(with: wanted) else { return false }
            position += wanted.count
            return true
        }

        /// `\p{X}` or `\s`.
        mutating func escapedClass() -> (CharacterClass, [ClosedRange<UInt32>])? {
            let names: [(String, CharacterClass)] = [
                ("\\p{L}", .letter), ("\\p{N}", .number), ("\\p{M}", .mark),
                ("\\p{P}", .punctuation), ("\\p{S}", .symbol), ("\\s", .space),
            ]
            for (name, kind) in names where take(name) { return (kind, []) }
            return nil
        }

        /// What stands between `[` and `]`, the latter taken too.
        mutating func set() -> (CharacterClass, [ClosedRange<UInt32>])? {
            var classes: CharacterClass = []
            var ranges: [ClosedRange<UInt32>] = []
            while !isAtEnd {
                if take("]") { return (classes, ranges) }
                if let (kind, _) = escapedClass() {
                    classes.formUnion(kind)
                    continue
                }
                guard let low = character() else { return nil }
                var high = low
                if position + 1 < scalars.count, scalars[position] == "-",
                    scalars[position + 1] != "]"
                {
                    position += 1
                    guard let upper = character(), upper >= low else { return nil }
                    high = upper
                }
                ranges.append(low...high)
            }
            return nil
        }

        private mutating func character() -> UInt32? {
            guard position < scalars.count else { return nil }
            let scalar = scalars[position]
            position += 1
            if "[]^&".unicodeScalars.contains(scalar) { return nil }
            guard scalar == "\\" else { return scalar.value }
            guard position < scalars.count else { return nil }
            let escaped = scalars[position]
            position += 1
            switch escaped {
            case "r": return 0x0D
            case "n": return 0x0A
            case "t": return 0x09
            default:
                let isLetterOrDigit =
                    escaped.properties.isAlphabetic || ("0"..."9").contains(escaped)
                return isLetterOrDigit ? nil : escaped.value
            }
        }
    }
}
