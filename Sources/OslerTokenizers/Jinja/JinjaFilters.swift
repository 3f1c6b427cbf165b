/// Jinja's filters, as far as chat templates use them, with transformers' `tojson`.
enum JinjaFilters {
    static let names = texts.union(lists)

    private static let texts: Set<String> = [
        "abs", "attr", "capitalize", "center", "count", "d", "default", "e", "escape", "float",
        "forceescape", "format",
        "indent", "int", "length", "lower", "replace", "round", "safe", "string", "title", "tojson",
        "trim", "truncate",
        "upper", "wordcount",
    ]
    static let lists: Set<String> = [
        "batch", "dictsort", "first", "items", "join", "last", "list", "map", "max", "min",
        "reject", "rejectattr",
        "reverse", "select", "selectattr", "slice", "sort", "sum", "unique",
    ]

    static func apply(
        _ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments,
        _ interpreter: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        if lists.contains(name) { return try list(name, value, arguments, interpreter) }
        func bound(_ names: String...) throws(JinjaFailure) -> [JinjaValue?] {
            try arguments.bound(names, of: name)
        }
        switch name {
        case "default", "d":
            let values = try bound("default_value", "boolean")
            let isMissing = value.isUndefined || (values[1]?.truth == true && !value.truth)
            return isMissing ? values[0] ?? .string("") : value
        case "length", "count":
            _ = try bound()
            return .int(try length(value))
        case "attr":
            let attribute = try PythonStrings.string(try bound("name")[0], "name")
            if case .dict = value, !["get", "items", "keys", "values"].contains(attribute) {
                return .undefined("'dict object' has no attribute '\(attribute)'")
            }
            return try JinjaMethods.attribute(value, attribute)
        case "tojson": return .string(try json(value, arguments))
        case "abs", "int", "float", "round": return try number(name, value, arguments)
        case "format":
            let text = try PythonText.string(value)
            if arguments.named.isEmpty {
                return .string(
                    try PythonFormat.percent(text, .tuple(JinjaList(arguments.positional))))
            }
            var dict = JinjaDict()
            for (name, value) in arguments.named { try dict.set(.string(name), value) }
            return .string(try PythonFormat.percent(text, .dict(dict)))
        default: return .string(try text(name, value, arguments))
        }
    }

    static func length(_ value: JinjaValue) throws(JinjaFailure) -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text): return text.unicodeScalars.count
        case .dict(let dict): return dict.count
        case .list(let list), .tuple(let list): return list.items.count
        case .loop(let state): return state.items.count
        case .view(let name, let list) where name != "generator": return list.items.count
        default: throw JinjaFailure("a \(value.typeName) has no length")
        }
    }

    // MARK: Texts

    private static func text(_ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> String
    {
        func bound(_ names: String...) throws(JinjaFailure) -> [JinjaValue?] {
            try arguments.bound(names, of: name)
        }
        let text = try PythonText.string(value)
        switch name {
        case "trim":
            return PythonStrings.stripped(
                text, try PythonStrings.string(try bound("chars")[0], "chars", none: nil))
        case "replace":
            let values = try bound("old", "new", "count")
            guard let old = values[0], let new = values[1] else {
                throw JinjaFailure("'replace' needs an old and a new text")
            }
            let count =
                if case .some(.none) = values[2] { -1 } else {
                    try PythonStrings.int(values[2], "count", -1)
                }
            return try PythonStrings.replaced(
                text, PythonText.string(old), PythonText.string(new), count)
        case "center":
            let width = try PythonStrings.int(try bound("width")[0], "width", 80)
            return try PythonStrings.padded(text, width, "center", " ")
        case "indent": return try indented(text, bound("width", "first", "blank"))
        case "truncate": return try truncated(text, bound("length", "killwords", "end", "leeway"))
        default: _ = try bound()
        }
        switch name {
        case "upper": return text.uppercased()
        case "lower": return text.lowercased()
        case "capitalize": return PythonStrings.capitalized(text)
        case "title": return titled(text)
        case "wordcount": return String(wordCount(text))
        case "e", "escape", "forceescape": return escaped(text)
        default: return text
        }
    }

    /// Words begin after a blank or one of `- ( { [ <`.
    private static func titled(_ text: String) -> String {
        var startsWord = true
        var result = ""
        for scalar in text.unicodeScalars {
            result +=
                startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
            startsWord = scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar)
        }
        return result
    }

    private static func wordCount(_ text: String) -> Int {
        var count = 0
        var inWord = false
        for scalar in text.unicodeScalars {
            let isWord =
                scalar == "_" || scalar.properties.isAlphabetic
                || scalar.properties.numericType != nil
            if isWord && !inWord { count += 1 }
            inWord = isWord
        }
        return count
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "'": result += "&#39;"
            case "\"": result += "&#34;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func indented(_ text: String, _ values: [JinjaValue?]) throws(JinjaFailure)
        -> String
    {
        let blank: String
        if case .some(.string(let text)) = values[0] {
            blank = text
        } else {
            let width = try PythonStrings.int(values[0], "width", 4)
            try JinjaOperators.checkLength(width)
            blank = String(repeating: " ", count: max(0, width))
        }
        let lines = PythonStrings.lines(text + "\n")
        try JinjaOperators.checkLength(
            text.utf8.count + min(blank.utf8.count, 1 << 30) * min(lines.count, 1 << 30))
        var result = values[1]?.truth == true ? blank : ""
        for (i, line) in lines.enumerated() {
            if i > 0 { result += "\n" }
            if i > 0, !line.isEmpty || values[2]?.truth == true { result += blank }
            result += line
        }
        return result
    }

    private static func truncated(_ text: String, _ values: [JinjaValue?]) throws(JinjaFailure)
        -> String
    {
        let length = try PythonStrings.int(values[0], "length", 255)
        let end = try PythonStrings.string(values[2], "end", none: "...") ?? "..."
        let leeway = try PythonStrings.int(values[3], "leeway", 5)
        let scalars = Array(text.unicodeScalars)
        if scalars.count - leeway <= length { return text }
        let kept = length - end.unicodeScalars.count
        if kept < 0 { throw JinjaFailure("'truncate' to \(length) is shorter than its end") }
        let cut = PythonStrings.string(scalars.prefix(kept))
        if values[1]?.truth == true { return cut + end }
        return (try PythonStrings.split(cut, " ", 1, fromRight: true).first ?? "") + end
    }

    private static func json(_ value: JinjaValue, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> String
    {
        let values = try arguments.bound(
            ["ensure_ascii", "indent", "separators", "sort_keys"], of: "tojson")
        var indent: String?
        switch values[1] {
        case nil, .some(.none): break
        case .some(.string(let text)): indent = text
        default:
            let width = try PythonStrings.int(values[1], "indent", nil)
            if width > 1000 { throw JinjaFailure("'indent' is too large") }
            indent = String(repeating: " ", count: max(0, width))
        }
        var writer = PythonJSON(
            asciiOnly: values[0]?.truth ?? false, indent: indent,
            itemSeparator: indent == nil ? ", " : ",", keySeparator: ": ",
            sortingKeys: values[3]?.truth ?? false)
        switch values[2] {
        case nil, .some(.none): break
        case .some(let separators):
            let pair = try JinjaOperators.items(of: separators)
            guard pair.count == 2 else { throw JinjaFailure("'separators' needs two texts") }
            writer.itemSeparator = try PythonStrings.string(pair[0], "separators")
            writer.keySeparator = try PythonStrings.string(pair[1], "separators")
        }
        return try writer.text(value)
    }

    // MARK: Numbers

    private static func number(_ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> JinjaValue
    {
        if case .undefined(let problem) = value { throw JinjaFailure(problem) }
        switch name {
        case "abs":
            if let number = value.asInt {
                if number == .min { throw JinjaFailure("the number is too large") }
                return .int(abs(number))
            }
            guard let number = value.asDouble else {
                throw JinjaFailure("'abs' needs a number, not \(value.typeName)")
            }
            return .float(number.magnitude)
        case "round":
            let values = try arguments.bound(["precision", "method"], of: name)
            return try rounded(
                value, PythonStrings.int(values[0], "precision", 0),
                PythonStrings.string(values[1], "method", none: "common") ?? "common")
        case "float":
            let fallback = try arguments.bound(["default"], of: name)[0] ?? .float(0)
            if case .string(let text) = value {
                return Double(PythonStrings.stripped(text, nil)).map { .float($0) } ?? fallback
            }
            return value.asDouble.map { .float($0) } ?? fallback
        default:
            let values = try arguments.bound(["default", "base"], of: name)
            let base = try PythonStrings.int(values[1], "base", 10)
            guard (2...36).contains(base) else { throw JinjaFailure("'base' must be 2 to 36") }
            return integer(value, base).map { .int($0) } ?? values[0] ?? .int(0)
        }
    }

    private static func integer(_ value: JinjaValue, _ base: Int) -> Int? {
        if let number = value.asInt { return number }
        var double = value.asDouble
        if case .string(let text) = value {
            var digits = PythonStrings.stripped(text, nil).filter { $0 != "_" }
            if let prefix = [16: "0x", 8: "0o", 2: "0b"][base],
                digits.lowercased().hasPrefix(prefix)
            {
                digits.removeFirst(2)
            }
            if let number = Int(digits, radix: base) { return number }
            double = Double(digits)
        }
        return double.flatMap { Int(exactly: $0.rounded(.towardZero)) }
    }

    private static func rounded(_ value: JinjaValue, _ precision: Int, _ method: String)
        throws(JinjaFailure) -> JinjaValue
    {
        guard let number = value.asDouble else {
            throw JinjaFailure("'round' needs a number, not \(value.typeName)")
        }
        guard (-300...300).contains(precision) else {
            throw JinjaFailure("'precision' is too large")
        }
        let scale = PythonText.power(10, Double(precision))
        switch method {
        case "common":
            if precision >= 0, value.asInt != nil { return value }
            if precision < 0 {
                let result = (number * scale).rounded(.toNearestOrEven) / scale
                return value.asInt == nil
                    ? .float(result) : Int(exactly: result).map { .int($0) } ?? value
            }
            // C's %.nf rounds the exact value, half to even, as Python's round does.
            return .float(Double(PythonText.formatted(number, "f", precision)) ?? number)
        case "ceil": return .float((number * scale).rounded(.up) / scale)
        case "floor": return .float((number * scale).rounded(.down) / scale)
        default: throw JinjaFailure("the rounding method must be common, ceil or floor")
        }
    }
}
