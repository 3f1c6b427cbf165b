/// `'...' % values` and `'...'.format(values)`.
enum PythonFormat {
    /// One conversion's layout.
    private struct Layout {
        var fill: Unicode.Scalar = " "
        var align: Unicode.Scalar?
        var sign: Unicode.Scalar?
        var isAlternate = false
        var width = 0
        var hasCommas = false
        var precision: Int?
        var type: Unicode.Scalar?
    }

    // MARK: %

    static func percent(_ format: String, _ value: JinjaValue) throws(JinjaFailure) -> String {
        var values: [JinjaValue] = if case .tuple(let list) = value { list.items } else { [value] }
        values.reverse()
        let scalars = Array(format.unicodeScalars)
        var result = String.UnicodeScalarView()
        var i = 0
        var usedName = false
        while i < scalars.count {
            guard scalars[i] == "%" else {
                result.append(scalars[i])
                i += 1
                continue
            }
            i += 1
            var name: String?
            if i < scalars.count, scalars[i] == "(" {
                guard let end = scalars[i...].firstIndex(of: ")") else {
                    throw JinjaFailure("incomplete '%' format")
                }
                name = PythonStrings.string(scalars[(i + 1)..<end])
                i = end + 1
            }
            let layout = try percentLayout(scalars, &i)
            if layout.type == "%" {
                result.append("%")
                continue
            }
            let item: JinjaValue
            if let name {
                guard case .dict(let dict) = value, let found = dict.get(name) else {
                    throw JinjaFailure("'%(\(name))' has no value")
                }
                item = found
                usedName = true
            } else {
                guard let next = values.popLast() else {
                    throw JinjaFailure("not enough values for the '%' format")
                }
                item = next
            }
            result.append(contentsOf: try percentText(item, layout).unicodeScalars)
            try JinjaOperators.checkLength(result.count)
        }
        if case .dict = value { usedName = true }
        if !usedName, !values.isEmpty {
            throw JinjaFailure("not all values of the '%' format are used")
        }
        return String(result)
    }

    private static func percentLayout(_ scalars: [Unicode.Scalar], _ i: inout Int)
        throws(JinjaFailure) -> Layout
    {
        var layout = Layout(align: ">")
        flags: while i < scalars.count {
            switch scalars[i] {
            case "-": layout.align = "<"
            case "0": layout.fill = "0"
            case "+", " ": if layout.sign != "+" { layout.sign = scalars[i] }
            case "#": layout.isAlternate = true
            default: break flags
            }
            i += 1
        }
        layout.width = try number(scalars, &i) ?? 0
        if i < scalars.count, scalars[i] == "." {
            i += 1
            layout.precision = try number(scalars, &i) ?? 0
        }
        guard i < scalars.count else { throw JinjaFailure("incomplete '%' format") }
        layout.type = scalars[i]
        i += 1
        if layout.align == "<" {
            layout.fill = " "
        } else if layout.fill == "0" {
            layout.align = "="
        }
        return layout
    }

    private static func percentText(_ value: JinjaValue, _ layout: Layout) throws(JinjaFailure)
        -> String
    {
        if case .undefined(let problem) = value, layout.type != "s" { throw JinjaFailure(problem) }
        var layout = layout
        let type = layout.type ?? "?"
        switch type {
        case "s", "r":
            var text =
                try layout.type == "s" ? PythonText.string(value) : PythonText.representation(value)
            if let precision = layout.precision {
                text = String(text.unicodeScalars.prefix(precision))
            }
            if layout.align == "=" { layout.align = ">" }
            layout.fill = " "
            return try aligned("", text, layout)
        case "d", "i", "u":
            guard
                let number = value.asInt
                    ?? value.asDouble.flatMap({ Int(exactly: $0.rounded(.towardZero)) })
            else { throw JinjaFailure("'%d' needs a number, not \(value.typeName)") }
            layout.type = "d"
            layout.precision = nil
            return try self.number(.int(number), layout)
        case "f", "F", "e", "E", "g", "G":
            guard let number = value.asDouble else {
                throw JinjaFailure("'%\(type)' needs a number, not \(value.typeName)")
            }
            return try self.number(.float(number), layout)
        case "x", "X", "o":
            guard value.asInt != nil else {
                throw JinjaFailure("'%\(type)' needs a whole number, not \(value.typeName)")
            }
            return try self.number(value, layout)
        default: throw JinjaFailure("the conversion '%\(type)' is not supported")
        }
    }

    // MARK: str.format

    static func braces(_ format: String, _ arguments: JinjaCallArguments) throws(JinjaFailure)
        -> String
    {
        let scalars = Array(format.unicodeScalars)
        var result = ""
        var automatic = 0
        var i = 0
        while i < scalars.count {
            let mark = scalars[i]
            if mark == "{" || mark == "}" {
                if i + 1 < scalars.count, scalars[i + 1] == mark {
                    result.unicodeScalars.append(mark)
                    i += 2
                    continue
                }
                guard mark == "{", let end = scalars[i...].firstIndex(of: "}") else {
                    throw JinjaFailure("single '\(mark)' in the format string")
                }
                result += try field(Array(scalars[(i + 1)..<end]), arguments, &automatic)
                i = end + 1
            } else {
                result.unicodeScalars.append(mark)
                i += 1
            }
            try JinjaOperators.checkLength(result.utf8.count)
        }
        return result
    }

    private static func field(
        _ scalars: [Unicode.Scalar], _ arguments: JinjaCallArguments, _ automatic: inout Int
    ) throws(JinjaFailure) -> String {
        let colon = scalars.firstIndex(of: ":") ?? scalars.count
        var name = scalars[..<colon]
        let spec = Array(scalars.dropFirst(colon + 1))
        var conversion: Unicode.Scalar?
        if name.count >= 2, name[name.endIndex - 2] == "!" {
            conversion = name.last
            name = name.dropLast(2)
        }
        var value = try self.value(PythonStrings.string(name), arguments, &automatic)
        if case .undefined(let problem) = value { throw JinjaFailure(problem) }
        switch conversion {
        case nil: break
        case "s": value = .string(try PythonText.string(value))
        case "r": value = .string(try PythonText.representation(value))
        case .some(let other): throw JinjaFailure("the conversion '!\(other)' is not supported")
        }
        return try formatted(value, spec)
    }

    /// `0`, `name`, `name.attribute` or `name[item]`; nothing is the next positional one.
    private static func value(
        _ path: String, _ arguments: JinjaCallArguments, _ automatic: inout Int
    )
        throws(JinjaFailure) -> JinjaValue
    {
        let first = path.prefix { $0 != "." && $0 != "[" }
        var value: JinjaValue
        if let place = first.isEmpty ? automatic : Int(first) {
            if first.isEmpty { automatic += 1 }
            guard arguments.positional.indices.contains(place) else {
                throw JinjaFailure("the format string needs argument \(place)")
            }
            value = arguments.positional[place]
        } else if let named = arguments.named.first(where: { $0.name == first }) {
            value = named.value
        } else {
            throw JinjaFailure("the format string needs argument '\(first)'")
        }
        var rest = path.dropFirst(first.count)
        while let mark = rest.popFirst() {
            let end: Character = mark == "[" ? "]" : "."
            let key = String(rest.prefix { $0 != end && (mark == "[" || $0 != "[") })
            rest = rest.dropFirst(key.count)
            if mark == "[" {
                rest = rest.dropFirst()
                value = try JinjaOperators.item(value, Int(key).map { .int($0) } ?? .string(key))
            } else {
                value = try JinjaMethods.attribute(value, key)
                if rest.first == "." { continue }
            }
        }
        return value
    }

    private static func formatted(_ value: JinjaValue, _ spec: [Unicode.Scalar])
        throws(JinjaFailure)
        -> String
    {
        if spec.isEmpty { return try PythonText.string(value) }
        var layout = Layout()
        var i = 0
        let aligns: [Unicode.Scalar] = ["<", ">", "^", "="]
        if spec.count > 1, aligns.contains(spec[1]) {
            (layout.fill, layout.align, i) = (spec[0], spec[1], 2)
        } else if aligns.contains(spec[0]) {
            (layout.align, i) = (spec[0], 1)
        }
        func at(_ mark: Unicode.Scalar) -> Bool { i < spec.count && spec[i] == mark }
        if at("+") || at("-") || at(" ") {
            layout.sign = spec[i]
            i += 1
        }
        if at("#") {
            layout.isAlternate = true
            i += 1
        }
        if at("0") {
            if layout.align == nil { (layout.fill, layout.align) = ("0", "=") }
            i += 1
        }
        layout.width = try number(spec, &i) ?? 0
        if at(",") {
            layout.hasCommas = true
            i += 1
        }
        if at(".") {
            i += 1
            layout.precision = try number(spec, &i)
        }
        if i < spec.count {
            layout.type = spec[i]
            i += 1
        }
        guard i == spec.count else {
            throw JinjaFailure("the format '\(PythonStrings.string(spec))' is not supported")
        }
        if case .string(let text) = value {
            guard layout.type == nil || layout.type == "s", layout.align != "=" else {
                throw JinjaFailure("the format '\(PythonStrings.string(spec))' is not for a str")
            }
            let cut = layout.precision.map { String(text.unicodeScalars.prefix($0)) } ?? text
            layout.align = layout.align ?? "<"
            return try aligned("", cut, layout)
        }
        guard value.asDouble != nil else {
            throw JinjaFailure("a \(value.typeName) takes no format")
        }
        layout.align = layout.align ?? ">"
        return try number(value, layout)
    }

    // MARK: Numbers

    private static func number(_ scalars: [Unicode.Scalar], _ i: inout Int) throws(JinjaFailure)
        -> Int?
    {
        let start = i
        while i < scalars.count, scalars[i].isDigit { i += 1 }
        if start == i { return nil }
        guard let value = Int(PythonStrings.string(scalars[start..<i])), value <= 100_000 else {
            throw JinjaFailure("a width or precision in a format is too large")
        }
        return value
    }

    private static func number(_ value: JinjaValue, _ layout: Layout) throws(JinjaFailure) -> String
    {
        var text: String
        let type = layout.type ?? (value.asInt == nil ? "n" : "d")
        switch type {
        case "x", "X", "o", "b", "d":
            guard let number = value.asInt, layout.precision == nil else {
                throw JinjaFailure("a whole number takes no precision in a format")
            }
            let radix = type == "o" ? 8 : type == "b" ? 2 : type == "d" ? 10 : 16
            text = String(number, radix: radix, uppercase: type == "X")
            if layout.isAlternate, radix != 10 {
                text = (number < 0 ? "-" : "") + "0\(type)" + text.drop { $0 == "-" }
            }
        case "n" where layout.type == nil && layout.precision == nil:
            text = try PythonText.string(value)
        case "f", "F", "e", "E", "g", "G", "%":
            var number = value.asDouble ?? 0
            if type == "%" { number *= 100 }
            text = PythonText.formatted(
                number, type == "%" ? "f" : Character(type), layout.precision ?? 6)
            if type == "%" { text += "%" }
        default:
            throw JinjaFailure("the format '\(type)' is not supported for \(value.typeName)")
        }
        var sign = ""
        if text.hasPrefix("-") {
            sign = "-"
            text.removeFirst()
        } else if let mark = layout.sign, mark != "-" {
            sign = String(mark)
        }
        if layout.hasCommas { text = withCommas(text) }
        return try aligned(sign, text, layout)
    }

    private static func withCommas(_ text: String) -> String {
        let whole = text.prefix { $0.isNumber }
        var result = ""
        for (i, digit) in whole.enumerated() {
            if i > 0, (whole.count - i) % 3 == 0 { result += "," }
            result.append(digit)
        }
        return result + text.dropFirst(whole.count)
    }

    private static func aligned(_ sign: String, _ text: String, _ layout: Layout)
        throws(JinjaFailure) -> String
    {
        let missing = layout.width - text.unicodeScalars.count - sign.unicodeScalars.count
        guard missing > 0 else { return sign + text }
        func fill(_ count: Int) -> String { String(repeating: String(layout.fill), count: count) }
        switch layout.align {
        case "<": return sign + text + fill(missing)
        case "^": return fill(missing / 2) + sign + text + fill(missing - missing / 2)
        case "=": return sign + fill(missing) + text
        default: return fill(missing) + sign + text
        }
    }
}
