/// Python's string methods, by code points.
enum PythonStrings {
    static func call(_ text: String, _ name: String, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> JinjaValue
    {
        func bound(_ names: String...) throws(JinjaFailure) -> [JinjaValue?] {
            try arguments.bound(names, of: name)
        }
        switch name {
        case "strip", "lstrip", "rstrip":
            let characters = try string(try bound("chars")[0], "chars", none: nil)
            return .string(
                stripped(text, characters, left: name != "rstrip", right: name != "lstrip"))
        case "split", "rsplit":
            let values = try bound("sep", "maxsplit")
            let separator = try string(values[0], "sep", none: nil)
            let limit = try int(values[1], "maxsplit", -1)
            let parts = try split(text, separator, limit, fromRight: name == "rsplit")
            return try .list(parts.map { .string($0) })
        case "splitlines":
            return try .list(
                lines(text, keepingEnds: bound("keepends")[0]?.truth ?? false).map { .string($0) })
        case "startswith", "endswith":
            let values = try bound("prefix", "start", "end")
            if values[1] != nil || values[2] != nil {
                throw JinjaFailure("'\(name)' with a range is not supported")
            }
            return .bool(try matches(text, values[0], atStart: name == "startswith"))
        case "replace":
            let values = try bound("old", "new", "count")
            let old = try string(values[0], "old")
            let new = try string(values[1], "new")
            return .string(try replaced(text, old, new, int(values[2], "count", -1)))
        case "removeprefix", "removesuffix":
            let part = try string(try bound("part")[0], "part")
            let isThere =
                name == "removeprefix" ? text.utf8.starts(with: part.utf8) : ends(text, part)
            if !isThere { return .string(text) }
            let bytes = Array(text.utf8)
            let kept =
                name == "removeprefix"
                ? bytes.dropFirst(part.utf8.count) : bytes.dropLast(part.utf8.count)
            return .string(String(decoding: kept, as: UTF8.self))
        case "join":
            guard let items = try bound("iterable")[0] else {
                throw JinjaFailure("'join' needs items")
            }
            return .string(try joined(JinjaOperators.items(of: items), text))
        case "count", "find", "rfind", "index", "rindex":
            return .int(try found(text, string(try bound("sub")[0], "sub"), name))
        case "partition", "rpartition":
            let separator = try string(try bound("sep")[0], "sep")
            return .tuple(
                try JinjaList(
                    try partition(text, separator, last: name == "rpartition").map { .string($0) }))
        case "center", "ljust", "rjust", "zfill":
            let values = try bound("width", "fillchar")
            return .string(
                try padded(
                    text, int(values[0], "width", nil), name,
                    string(values[1], "fillchar", none: " ") ?? " "))
        default:
            _ = try bound()
            return try plain(text, name)
        }
    }

    /// Methods without arguments.
    private static func plain(_ text: String, _ name: String) throws(JinjaFailure) -> JinjaValue {
        let scalars = text.unicodeScalars
        func all(_ test: (Unicode.Scalar) -> Bool) -> JinjaValue {
            .bool(!scalars.isEmpty && scalars.allSatisfy(test))
        }
        switch name {
        case "upper": return .string(text.uppercased())
        case "lower", "casefold": return .string(text.lowercased())
        case "capitalize": return .string(capitalized(text))
        case "title": return .string(titled(text))
        case "swapcase":
            return .string(
                scalars.map {
                    $0.properties.isUppercase
                        ? $0.properties.lowercaseMapping : $0.properties.uppercaseMapping
                }
                .joined())
        case "isspace": return all(\.isPythonSpace)
        case "isalpha": return all(isLetter)
        case "isdigit":
            return all {
                $0.properties.numericType == .decimal || $0.properties.numericType == .digit
            }
        case "isdecimal": return all { $0.properties.numericType == .decimal }
        case "isnumeric": return all { $0.properties.numericType != nil }
        case "isalnum": return all { isLetter($0) || $0.properties.numericType != nil }
        case "isascii": return .bool(scalars.allSatisfy(\.isASCII))
        case "islower", "isupper": return .bool(isCased(text, upper: name == "isupper"))
        default: throw JinjaFailure("the method 'str.\(name)' is not supported")
        }
    }

    // MARK: Arguments

    static func string(_ value: JinjaValue?, _ name: String) throws(JinjaFailure) -> String {
        switch value {
        case .some(.string(let text)): return text
        case .some(.undefined(let problem)): throw JinjaFailure(problem)
        case .some(let value): throw JinjaFailure("'\(name)' must be a str, not \(value.typeName)")
        case nil: throw JinjaFailure("'\(name)' is missing")
        }
    }

    /// As above, where None or nothing stands for `none`.
    static func string(_ value: JinjaValue?, _ name: String, none: String?) throws(JinjaFailure)
        -> String?
    {
        switch value {
        case nil, .some(.none): none
        default: try string(value, name)
        }
    }

    static func int(_ value: JinjaValue?, _ name: String, _ fallback: Int?) throws(JinjaFailure)
        -> Int
    {
        if let number = value?.asInt { return number }
        if value == nil, let fallback { return fallback }
        throw JinjaFailure("'\(name)' must be a whole number")
    }

    // MARK: Searching

    /// Byte offsets of `part` in `text`, from left to right and not overlapping, at most `limit` of
    /// them.
    static func occurrences(_ text: [UInt8], _ part: [UInt8], limit: Int = .max) -> [Int] {
        var result: [Int] = []
        guard !part.isEmpty, limit > 0 else { return result }
        let borders = borders(part)
        var matched = 0
        for (i, byte) in text.enumerated() {
            while matched > 0, part[matched] != byte { matched = borders[matched - 1] }
            if part[matched] == byte { matched += 1 }
            if matched == part.count {
                result.append(i + 1 - matched)
                if result.count >= limit { break }
                matched = 0
            }
        }
        return result
    }

    /// The table of Knuth, Morris and Pratt: searching stays linear whatever a template searches
    /// for.
    private static func borders(_ part: [UInt8]) -> [Int] {
        var result = [Int](repeating: 0, count: part.count)
        var length = 0
        for i in 1..<max(1, part.count) {
            while length > 0, part[i] != part[length] { length = result[length - 1] }
            if part[i] == part[length] { length += 1 }
            result[i] = length
        }
        return result
    }

    static func contains(_ text: String, _ part: String) -> Bool {
        part.isEmpty || !occurrences(Array(text.utf8), Array(part.utf8), limit: 1).isEmpty
    }

    static func ends(_ text: String, _ part: String) -> Bool {
        text.utf8.count >= part.utf8.count
            && text.utf8.suffix(part.utf8.count).elementsEqual(part.utf8)
    }

    private static func matches(_ text: String, _ part: JinjaValue?, atStart: Bool)
        throws(JinjaFailure)
        -> Bool
    {
        if case .tuple(let parts) = part {
            for item in parts.items where try matches(text, item, atStart: atStart) { return true }
            return false
        }
        let part = try string(part, atStart ? "prefix" : "suffix")
        return atStart ? text.utf8.starts(with: part.utf8) : ends(text, part)
    }

    private static func found(_ text: String, _ part: String, _ name: String) throws(JinjaFailure)
        -> Int
    {
        let bytes = Array(text.utf8)
        let length = text.unicodeScalars.count
        if name == "count" {
            return part.isEmpty ? length + 1 : occurrences(bytes, Array(part.utf8)).count
        }
        let last = name.hasPrefix("r")
        if part.isEmpty { return last ? length : 0 }
        guard
            let place = last
                ? lastOccurrence(bytes, Array(part.utf8))
                : occurrences(bytes, Array(part.utf8), limit: 1).first
        else {
            if name.hasSuffix("index") { throw JinjaFailure("substring not found") }
            return -1
        }
        return String(decoding: bytes[..<place], as: UTF8.self).unicodeScalars.count
    }

    static func lastOccurrence(_ text: [UInt8], _ part: [UInt8]) -> Int? {
        occurrences(text.reversed(), part.reversed(), limit: 1).first.map {
            text.count - $0 - part.count
        }
    }

    // MARK: Cutting and joining

    static func stripped(
        _ text: String, _ characters: String?, left: Bool = true, right: Bool = true
    )
        -> String
    {
        let set = characters.map { Set($0.unicodeScalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool {
            set?.contains(scalar) ?? scalar.isPythonSpace
        }
        var rest = text.unicodeScalars[...]
        if left { rest = rest.drop(while: goes) }
        if right { while let last = rest.last, goes(last) { rest.removeLast() } }
        return String(rest)
    }

    static func split(_ text: String, _ separator: String?, _ limit: Int, fromRight: Bool)
        throws(JinjaFailure) -> [String]
    {
        let limit = limit < 0 ? Int.max : limit
        guard let separator else { return words(text, limit, fromRight: fromRight) }
        if separator.isEmpty { throw JinjaFailure("'split' with an empty separator") }
        var bytes = Array(text.utf8)
        var part = Array(separator.utf8)
        if fromRight {
            bytes.reverse()
            part.reverse()
        }
        var pieces: [[UInt8]] = []
        var start = 0
        let places = occurrences(bytes, part, limit: limit)
        try JinjaOperators.checkCount(places.count + 1)
        for place in places {
            pieces.append(Array(bytes[start..<place]))
            start = place + part.count
        }
        pieces.append(Array(bytes[start...]))
        if fromRight { pieces = pieces.reversed().map { $0.reversed() } }
        return pieces.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Split at runs of blanks.
    private static func words(_ text: String, _ limit: Int, fromRight: Bool) -> [String] {
        var scalars = Array(text.unicodeScalars)
        if fromRight { scalars.reverse() }
        var rest = scalars[...].drop(while: \.isPythonSpace)
        var result: [[Unicode.Scalar]] = []
        while !rest.isEmpty {
            if result.count == limit {
                result.append(Array(rest))
                break
            }
            let word = rest.prefix { !$0.isPythonSpace }
            result.append(Array(word))
            rest = rest[word.endIndex...].drop(while: \.isPythonSpace)
        }
        if fromRight { result = result.reversed().map { $0.reversed() } }
        return result.map { string($0) }
    }

    static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }

    /// `splitlines`.
    static func lines(_ text: String, keepingEnds: Bool = false) -> [String] {
        var result: [String] = []
        let scalars = Array(text.unicodeScalars)
        var start = 0
        var i = 0
        while i < scalars.count {
            switch scalars[i].value {
            case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
                var end = i + 1
                if scalars[i] == "\r", end < scalars.count, scalars[end] == "\n" { end += 1 }
                result.append(string(scalars[start..<(keepingEnds ? end : i)]))
                (start, i) = (end, end)
            default: i += 1
            }
        }
        if start < scalars.count { result.append(string(scalars[start...])) }
        return result
    }

    static func replaced(_ text: String, _ old: String, _ new: String, _ count: Int)
        throws(JinjaFailure) -> String
    {
        let limit = count < 0 ? Int.max : count
        if old.isEmpty {
            var result = String.UnicodeScalarView()
            let scalars = Array(text.unicodeScalars)
            try JinjaOperators.checkLength(
                text.utf8.count + product(min(scalars.count + 1, limit), new.utf8.count))
            for i in 0...scalars.count {
                if i < limit { result.append(contentsOf: new.unicodeScalars) }
                if i < scalars.count { result.append(scalars[i]) }
            }
            return String(result)
        }
        let bytes = Array(text.utf8)
        let places = occurrences(bytes, Array(old.utf8), limit: limit)
        try JinjaOperators.checkLength(text.utf8.count + product(places.count, new.utf8.count))
        var result: [UInt8] = []
        var start = 0
        for place in places {
            result += bytes[start..<place]
            result += new.utf8
            start = place + old.utf8.count
        }
        result += bytes[start...]
        return String(decoding: result, as: UTF8.self)
    }

    /// Saturating, so that a later addition can't overflow.
    private static func product(_ a: Int, _ b: Int) -> Int {
        let (value, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow || value > 1 << 40 ? 1 << 40 : value
    }

    static func joined(_ items: [JinjaValue], _ separator: String) throws(JinjaFailure) -> String {
        var result = ""
        for (i, item) in items.enumerated() {
            if i > 0 { result += separator }
            result += try string(item, "item \(i) of 'join'")
            try JinjaOperators.checkLength(result.utf8.count)
        }
        return result
    }

    private static func partition(_ text: String, _ separator: String, last: Bool)
        throws(JinjaFailure) -> [String]
    {
        if separator.isEmpty { throw JinjaFailure("'partition' with an empty separator") }
        let bytes = Array(text.utf8)
        let part = Array(separator.utf8)
        guard
            let place = last
                ? lastOccurrence(bytes, part) : occurrences(bytes, part, limit: 1).first
        else {
            return last ? ["", "", text] : [text, "", ""]
        }
        return [
            String(decoding: bytes[..<place], as: UTF8.self), separator,
            String(decoding: bytes[(place + part.count)...], as: UTF8.self),
        ]
    }

    static func padded(_ text: String, _ width: Int, _ name: String, _ fill: String)
        throws(JinjaFailure) -> String
    {
        let missing = width - text.unicodeScalars.count
        guard missing > 0 else { return text }
        try JinjaOperators.checkLength(missing)
        func blanks(_ count: Int) -> String { String(repeating: fill, count: count) }
        switch name {
        case "ljust": return text + blanks(missing)
        case "rjust": return blanks(missing) + text
        case "zfill":
            let zeros = String(repeating: "0", count: missing)
            guard text.hasPrefix("+") || text.hasPrefix("-") else { return zeros + text }
            return text.prefix(1) + zeros + text.dropFirst()
        default:
            let left = missing / 2 + (missing & width & 1)
            return blanks(left) + text + blanks(missing - left)
        }
    }

    // MARK: Case

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            true
        default: false
        }
    }

    static func isCased(_ text: String, upper: Bool) -> Bool {
        let cased = text.unicodeScalars.filter(\.properties.isCased)
        return !cased.isEmpty
            && cased.allSatisfy { upper ? $0.properties.isUppercase : $0.properties.isLowercase }
    }

    static func capitalized(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return "" }
        return first.properties.titlecaseMapping
            + String(text.unicodeScalars.dropFirst()).lowercased()
    }

    /// `str.title`: a letter after anything that isn't one starts a word.
    static func titled(_ text: String) -> String {
        var afterCased = false
        var result = ""
        for scalar in text.unicodeScalars {
            result +=
                afterCased ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
            afterCased = scalar.properties.isCased
        }
        return result
    }
}
