extension JSON {
    /// The text that Python's `json.dumps` gives with the same arguments.
    ///
    /// - Parameters:
    ///   - indent: nil is one line.
    ///   - ensureASCII: escape everything beyond ASCII as `\uXXXX`.
    ///   - separators: between items and after a key; by default `", "` and `": "`, and `","` for
    ///     items when indented.
    public func serialized(
        indent: Int? = nil, ensureASCII: Bool = true, sortKeys: Bool = false,
        separators: (item: String, key: String)? = nil
    ) -> String {
        let separators = separators ?? (indent == nil ? ", " : ",", ": ")
        var writer = JSONWriter(
            indent: indent, ensureASCII: ensureASCII, sortKeys: sortKeys,
            itemSeparator: Array(separators.item.utf8), keySeparator: Array(separators.key.utf8))
        writer.write(self)
        return String(decoding: writer.output, as: UTF8.self)
    }
}

struct JSONWriter {
    let indent: Int?
    let ensureASCII: Bool
    let sortKeys: Bool
    let itemSeparator: [UInt8]
    let keySeparator: [UInt8]
    private(set) var output: [UInt8] = []
    private var depth = 0

    init(
        indent: Int?, ensureASCII: Bool, sortKeys: Bool, itemSeparator: [UInt8],
        keySeparator: [UInt8]
    ) {
        (self.indent, self.ensureASCII, self.sortKeys) = (indent, ensureASCII, sortKeys)
        (self.itemSeparator, self.keySeparator) = (itemSeparator, keySeparator)
    }

    mutating func write(_ value: JSON) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let bool): output += (bool ? "true" : "false").utf8
        case .integer(let integer): output += String(integer).utf8
        case .number(let number): output += Self.text(of: number).utf8
        case .string(let string): write(string)
        case .array(let elements):
            list("[", "]", elements) { $0.write($1) }
        case .object(let object):
            var pairs = object.pairs
            if sortKeys { pairs.sort { Self.precedes($0.key, $1.key) } }
            list("{", "}", pairs) {
                $0.write($1.key)
                $0.output += $0.keySeparator
                $0.write($1.value)
            }
        }
    }

    /// Python compares strings by code point.
    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.unicodeScalars.lexicographicallyPrecedes(right.unicodeScalars)
    }

    private mutating func list<Element>(
        _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ elements: [Element],
        _ element: (inout JSONWriter, Element) -> Void
    ) {
        output.append(UInt8(ascii: open))
        depth += 1
        for (place, item) in elements.enumerated() {
            if place > 0 { output += itemSeparator }
            newLine()
            element(&self, item)
        }
        depth -= 1
        if !elements.isEmpty { newLine() }
        output.append(UInt8(ascii: close))
    }

    private mutating func newLine() {
        guard let indent else { return }
        output.append(0x0A)
        output.append(contentsOf: repeatElement(0x20, count: indent * depth))
    }

    private static func text(of number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        return number.pythonDescription
    }

    private mutating func write(_ string: String) {
        output.append(UInt8(ascii: "\""))
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\"".utf8
            case "\\": output += "\\\\".utf8
            case "\n": output += "\\n".utf8
            case "\r": output += "\\r".utf8
            case "\t": output += "\\t".utf8
            case "\u{8}": output += "\\b".utf8
            case "\u{C}": output += "\\f".utf8
            case _ where scalar.value < 0x20 || (ensureASCII && scalar.value > 0x7E):
                for unit in UTF16.encode(scalar).unsafelyUnwrapped { escape(unit) }
            case _ where scalar.isASCII: output.append(UInt8(ascii: scalar))
            default: output += UTF8.encode(scalar).unsafelyUnwrapped
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ unit: UInt16) {
        let digits = String(unit, radix: 16)
        output += "\\u".utf8
        output.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.utf8.count))
        output += digits.utf8
    }
}

extension Double {
    /// What Python's `repr` prints: the shortest digits that read back the same, with an exponent
    /// below 1e-4 and from 1e16 on.
    package var pythonDescription: String {
        if isNaN { return "nan" }
        if isInfinite { return self < 0 ? "-inf" : "inf" }
        if self == 0 { return sign == .minus ? "-0.0" : "0.0" }
        let sign = self < 0 ? "-" : ""
        let (digits, exponent) = magnitude.shortestDigits
        if exponent < -4 || exponent >= 16 {
            let fraction = digits.dropFirst()
            let size = String(abs(exponent))
            return sign + digits.prefix(1) + (fraction.isEmpty ? "" : "." + fraction)
                + (exponent < 0 ? "e-" : "e+") + (size.count < 2 ? "0" : "") + size
        }
        if exponent < 0 {
            return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits
        }
        let padded = digits + String(repeating: "0", count: max(0, exponent + 1 - digits.count))
        let fraction = padded.dropFirst(exponent + 1)
        return sign + padded.prefix(exponent + 1) + "." + (fraction.isEmpty ? "0" : fraction)
    }

    /// The digits without leading and trailing zeros, and the power of ten of the first one. The
    /// standard library prints the shortest digits too, only laid out differently.
    private var shortestDigits: (digits: String, exponent: Int) {
        let parts = description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        var exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) + mantissa[0].count - 1
        var digits = mantissa.joined()[...]
        while digits.first == "0" {
            digits.removeFirst()
            exponent -= 1
        }
        while digits.last == "0" { digits.removeLast() }
        return (String(digits), exponent)
    }
}
