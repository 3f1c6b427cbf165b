/// Values as Python prints them.
enum PythonText {
    /// `str(value)`.
    static func string(_ value: JinjaValue) throws(JinjaFailure) -> String {
        switch value {
        case .undefined: ""
        case .string(let text): text
        default: try representation(value)
        }
    }

    /// `repr(value)`.
    static func representation(_ value: JinjaValue) throws(JinjaFailure) -> String {
        switch value {
        case .undefined: return "Undefined"
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .int(let value): return String(value)
        case .float(let value): return float(value)
        case .string(let text): return quoted(text)
        case .list(let list): return "[" + (try joined(list.items)) + "]"
        case .tuple(let list):
            return "(" + (try joined(list.items)) + (list.items.count == 1 ? ",)" : ")")
        case .view("generator", _): throw JinjaFailure("a generator has no text; add '| list'")
        case .view(let name, let list): return name + "([" + (try joined(list.items)) + "])"
        case .dict(let dict): return try representation(dict)
        case .namespace, .loop: throw JinjaFailure("a \(value.typeName) has no text")
        case .function: throw JinjaFailure("a function has no text; is its '()' missing?")
        }
    }

    private static func representation(_ dict: JinjaDict) throws(JinjaFailure) -> String {
        var parts: [String] = []
        for (key, value) in zip(dict.keys, dict.values) {
            parts.append(try representation(key) + ": " + representation(value))
        }
        return "{" + parts.joined(separator: ", ") + "}"
    }

    private static func joined(_ items: [JinjaValue]) throws(JinjaFailure) -> String {
        var parts: [String] = []
        for item in items { parts.append(try representation(item)) }
        return parts.joined(separator: ", ")
    }

    /// `repr(float)`: the shortest digits that read back, exponents outside 1e-4 ..< 1e16.
    static func float(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let (digits, exponent) = shortestDigits(value.magnitude)
        let sign = value.sign == .minus ? "-" : ""
        if exponent < -4 || exponent >= 16 {
            let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
            let size = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return sign + digits.prefix(1) + fraction + "e" + (exponent < 0 ? "-" : "+") + size
        }
        if exponent < 0 {
            return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits
        }
        let whole = exponent + 1
        if digits.count <= whole {
            return sign + digits + String(repeating: "0", count: whole - digits.count) + ".0"
        }
        return sign + digits.prefix(whole) + "." + digits.dropFirst(whole)
    }

    /// Digits without leading or trailing zeros, and the decimal exponent of the first one.
    private static func shortestDigits(_ value: Double) -> (digits: String, exponent: Int) {
        if value == 0 { return ("0", 0) }
        let parts = value.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".")
        var exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) + mantissa[0].count - 1
        let all = String(mantissa[0]) + (mantissa.count > 1 ? mantissa[1] : "")
        let significant = all.drop { $0 == "0" }
        exponent -= all.count - significant.count
        var digits = String(significant)
        while digits.count > 1, digits.last == "0" { digits.removeLast() }
        return (digits, exponent)
    }

    /// `repr(str)`.
    static func quoted(_ text: String) -> String {
        let quote: Unicode.Scalar =
            text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
        var result = String.UnicodeScalarView()
        result.append(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\r": result.append(contentsOf: "\\r".unicodeScalars)
            case "\t": result.append(contentsOf: "\\t".unicodeScalars)
            case "\\", quote:
                result.append("\\")
                result.append(scalar)
            case _ where isPrintable(scalar): result.append(scalar)
            default:
                let (letter, width) =
                    scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
                result.append(
                    contentsOf: ("\\" + letter + hexadecimal(scalar.value, width)).unicodeScalars)
            }
        }
        result.append(quote)
        return String(result)
    }

    static func hexadecimal(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if (0x20..<0x7F).contains(scalar.value) { return true }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }
}

/// `json.dumps` as transformers' `tojson` calls it: no HTML escaping, characters as they are.
struct PythonJSON {
    var asciiOnly = false
    /// The text of one level; nil writes everything on one line.
    var indent: String?
    var itemSeparator: String
    var keySeparator: String
    var sortingKeys = false

    func text(_ value: JinjaValue) throws(JinjaFailure) -> String {
        var output = ""
        try write(value, level: 0, to: &output)
        return output
    }

    private func write(_ value: JinjaValue, level: Int, to output: inout String)
        throws(JinjaFailure)
    {
        switch value {
        case .none: output += "null"
        case .bool(let value): output += value ? "true" : "false"
        case .int(let value): output += String(value)
        case .float(let value): output += Self.float(value)
        case .string(let text): writeString(text, to: &output)
        case .list(let list), .tuple(let list):
            output += "["
            for (i, item) in list.items.enumerated() {
                separate(i, level: level + 1, to: &output)
                try write(item, level: level + 1, to: &output)
            }
            close(list.items.isEmpty, level: level, "]", to: &output)
        case .dict(let dict): try write(dict, level: level, to: &output)
        default: throw JinjaFailure("a value of type \(value.typeName) can't be written as JSON")
        }
        if output.utf8.count > JinjaLimits.stringBytes {
            throw JinjaFailure("the JSON text is too long")
        }
    }

    private func write(_ dict: JinjaDict, level: Int, to output: inout String) throws(JinjaFailure)
    {
        var order = Array(0..<dict.count)
        if sortingKeys {
            try JinjaOperators.sort(&order) { (a, b) throws(JinjaFailure) in
                try JinjaOperators.isLess(dict.keys[a], dict.keys[b])
            }
        }
        output += "{"
        for (i, place) in order.enumerated() {
            separate(i, level: level + 1, to: &output)
            switch dict.keys[place] {
            case .string(let key): writeString(key, to: &output)
            case .none: output += "\"null\""
            case .bool(let value): output += value ? "\"true\"" : "\"false\""
            case .float(let value): output += "\"" + Self.float(value) + "\""
            default: output += "\"" + (try PythonText.string(dict.keys[place])) + "\""
            }
            output += keySeparator
            try write(dict.values[place], level: level + 1, to: &output)
        }
        close(dict.count == 0, level: level, "}", to: &output)
    }

    private func separate(_ i: Int, level: Int, to output: inout String) {
        if i > 0 { output += itemSeparator }
        if let indent { output += "\n" + String(repeating: indent, count: level) }
    }

    private func close(_ isEmpty: Bool, level: Int, _ mark: String, to output: inout String) {
        if let indent, !isEmpty { output += "\n" + String(repeating: indent, count: level) }
        output += mark
    }

    private static func float(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        return PythonText.float(value)
    }

    private func writeString(_ text: String, to output: inout String) {
        var result = "\"".unicodeScalars
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result.append(contentsOf: "\\\"".unicodeScalars)
            case "\\": result.append(contentsOf: "\\\\".unicodeScalars)
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\r": result.append(contentsOf: "\\r".unicodeScalars)
            case "\t": result.append(contentsOf: "\\t".unicodeScalars)
            case "\u{8}": result.append(contentsOf: "\\b".unicodeScalars)
            case "\u{c}": result.append(contentsOf: "\\f".unicodeScalars)
            case _ where scalar.value < 0x20 || (asciiOnly && scalar.value > 0x7E):
                for unit in String(scalar).utf16 {
                    result.append(
                        contentsOf: ("\\u" + PythonText.hexadecimal(UInt32(unit), 4)).unicodeScalars
                    )
                }
            default: result.append(scalar)
            }
        }
        result.append("\"")
        output += String(result)
    }
}
