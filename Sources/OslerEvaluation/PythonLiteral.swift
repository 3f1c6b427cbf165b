internal import OslerFormats

/// Reads what Python's `str` prints of a dictionary or list of strings: data sets that went through CSV have such columns.
struct PythonLiteral {
    private let scalars: [Unicode.Scalar]
    private var place = 0

    /// nil for anything else.
    static func parse(_ text: String) -> JSON? {
        var reader = PythonLiteral(text)
        guard let value = reader.value() else { return nil }
        reader.skipSpaces()
        return reader.next == nil ? value : nil
    }

    private init(_ text: String) { scalars = Array(text.unicodeScalars) }

    private var next: Unicode.Scalar? { place < scalars.count ? scalars[place] : nil }

    private mutating func skipSpaces() {
        while let scalar = next, scalar.properties.isWhitespace { place += 1 }
    }

    private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
        skipSpaces()
        guard next == scalar else { return false }
        place += 1
        return true
    }

    private mutating func value() -> JSON? {
        if skip("{") {
            var object = JSON.Object()
            while !skip("}") {
                guard let key = string(), skip(":"), let value = string() else { return nil }
                object[key] = .string(value)
                guard skip(",") || next == "}" else { return nil }
            }
            return .object(object)
        }
        guard skip("[") else { return nil }
        var items: [JSON] = []
        while !skip("]") {
            guard let item = string() else { return nil }
            items.append(.string(item))
            guard skip(",") || next == "]" else { return nil }
        }
        return .array(items)
    }

    private mutating func string() -> String? {
        skipSpaces()
        guard let quote = next, quote == "'" || quote == "\"" else { return nil }
        place += 1
        var result = String.UnicodeScalarView()
        while let scalar = next {
            place += 1
            if scalar == quote {
                skipSpaces()
                return String(result)
            }
            guard scalar == "\\" else {
                result.append(scalar)
                continue
            }
            guard let escaped = escape() else { return nil }
            result.append(escaped)
        }
        return nil
    }

    private mutating func escape() -> Unicode.Scalar? {
        guard let kind = next else { return nil }
        place += 1
        switch kind {
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "\\", "'", "\"": return kind
        case "x": return hexadecimal(2)
        case "u": return hexadecimal(4)
        case "U": return hexadecimal(8)
        default: return nil
        }
    }

    private mutating func hexadecimal(_ count: Int) -> Unicode.Scalar? {
        guard place + count <= scalars.count else { return nil }
        let digits = String(String.UnicodeScalarView(scalars[place..<place + count]))
        place += count
        return UInt32(digits, radix: 16).flatMap { Unicode.Scalar($0) }
    }
}
