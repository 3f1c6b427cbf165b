#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension JSON {
    /// Parses one JSON document (RFC 8259, UTF-8, a byte order mark allowed).
    ///
    /// As Python's `json.loads`: `NaN`, `Infinity` and `-Infinity` are numbers and a repeated key
    /// takes its last value. Unlike it, integers beyond 64 bits become `number`s and an unpaired
    /// surrogate escape is an error. Nesting is limited to `JSONParser.depthLimit`.
    ///
    /// - Parameter firstLine: the number of the first line, for lines cut out of a larger file.
    /// - Throws: `InputError` whose field is `line L, column C` (both from 1, columns in
    ///   Unicode scalars).
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, file: String? = nil, firstLine: Int = 1
    ) throws -> JSON {
        try bytes.withMemoryRebound(to: UInt8.self) {
            var parser = JSONParser($0, file: file, firstLine: firstLine)
            return try parser.document()
        }
    }

    public static func parse(_ bytes: [UInt8], file: String? = nil) throws -> JSON {
        try bytes.withUnsafeBytes { try parse($0, file: file) }
    }

    public static func parse(_ text: String, file: String? = nil) throws -> JSON {
        var text = text
        return try text.withUTF8 { try parse(UnsafeRawBufferPointer($0), file: file) }
    }
}

/// A recursive-descent parser over bytes. It reads every byte at most twice and never beyond
/// `bytes`: `current` is 0, which no JSON token contains, at the end.
struct JSONParser {
    static let depthLimit = 512

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var depth = 0
    private let file: String?
    private let firstLine: Int
    /// Bytes of a string that has escapes.
    private var unescaped: [UInt8] = []

    init(_ bytes: UnsafeBufferPointer<UInt8>, file: String?, firstLine: Int) {
        (self.bytes, self.file, self.firstLine) = (bytes, file, firstLine)
    }

    mutating func document() throws -> JSON {
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }
        skipSpace()
        let result = try value()
        skipSpace()
        if position < bytes.count { throw expected("the end of the document") }
        return result
    }

    @inline(__always) private var current: UInt8 {
        position < bytes.count ? bytes[position] : 0
    }

    @inline(__always) private mutating func skipSpace() {
        while position < bytes.count {
            let byte = bytes[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
        }
    }

    private mutating func value() throws -> JSON {
        switch current {
        case UInt8(ascii: "\""): .string(try string())
        case UInt8(ascii: "{"): try nested { try $0.object() }
        case UInt8(ascii: "["): try nested { try $0.array() }
        case UInt8(ascii: "t"): try word("true", .bool(true))
        case UInt8(ascii: "f"): try word("false", .bool(false))
        case UInt8(ascii: "n"): try word("null", .null)
        case UInt8(ascii: "N"): try word("NaN", .number(.nan))
        case UInt8(ascii: "I"): try word("Infinity", .number(.infinity))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        default: throw expected("a value")
        }
    }

    private mutating func nested(_ body: (inout JSONParser) throws -> JSON) throws -> JSON {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthLimit {
            throw failure("nested deeper than \(Self.depthLimit) levels", at: position)
        }
        position += 1
        skipSpace()
        return try body(&self)
    }

    private mutating func object() throws -> JSON {
        var object = JSON.Object()
        if consume(UInt8(ascii: "}")) { return .object(object) }
        while true {
            guard current == UInt8(ascii: "\"") else { throw expected("a key in double quotes") }
            let key = try string()
            skipSpace()
            guard consume(UInt8(ascii: ":")) else { throw expected("':' after a key") }
            skipSpace()
            object[key] = try value()
            skipSpace()
            if consume(UInt8(ascii: "}")) { return .object(object) }
            guard consume(UInt8(ascii: ",")) else { throw expected("',' or '}' in an object") }
            skipSpace()
        }
    }

    private mutating func array() throws -> JSON {
        var elements: [JSON] = []
        if consume(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try value())
            skipSpace()
            if consume(UInt8(ascii: "]")) { return .array(elements) }
            guard consume(UInt8(ascii: ",")) else { throw expected("',' or ']' in an array") }
            skipSpace()
        }
    }

    @inline(__always) private mutating func consume(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws -> JSON {
        let end = position + word.utf8CodeUnitCount
        guard end <= bytes.count,
            bytes[position..<end].elementsEqual(
                UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
        else { throw expected("a value") }
        position = end
        return value
    }
}

// MARK: - Strings

extension JSONParser {
    private mutating func string() throws -> String {
        position += 1
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let text = try decoded(
                    UnsafeBufferPointer(rebasing: bytes[start..<position]), start)
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { return try stringWithEscapes(from: start) }
            if byte < 0x20 { throw controlCharacter(byte) }
            position += 1
        }
        throw failure("a string without its closing quote", at: start - 1)
    }

    private mutating func stringWithEscapes(from start: Int) throws -> String {
        unescaped.removeAll(keepingCapacity: true)
        unescaped.append(contentsOf: bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let text = try unescaped.withUnsafeBufferPointer { try decoded($0, start) }
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") {
                try escape()
            } else if byte < 0x20 {
                throw controlCharacter(byte)
            } else {
                let first = position
                while position < bytes.count, Self.isPlain(bytes[position]) { position += 1 }
                unescaped.append(contentsOf: bytes[first..<position])
            }
        }
        throw failure("a string without its closing quote", at: start - 1)
    }

    /// What stands in a string for itself.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// Decoding repairs what is not UTF-8, so a text of other bytes shows that something was; this
    /// is several times as fast as `String(validating:as:)`.
    private func decoded(_ codeUnits: UnsafeBufferPointer<UInt8>, _ start: Int) throws -> String {
        var text = String(decoding: codeUnits, as: UTF8.self)
        let isSame = text.withUTF8 { decoded in
            guard let a = decoded.baseAddress, let b = codeUnits.baseAddress else {
                return decoded.count == codeUnits.count
            }
            return decoded.count == codeUnits.count && memcmp(a, b, decoded.count) == 0
        }
        guard isSame else {
            throw failure("a string that is not valid UTF-8", at: start - 1)
        }
        return text
    }

    /// One escape, from its backslash, appended to `unescaped`.
    private mutating func escape() throws {
        position += 1
        let byte = current
        let simple: UInt8? =
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
            case UInt8(ascii: "b"): 0x08
            case UInt8(ascii: "f"): 0x0C
            case UInt8(ascii: "n"): 0x0A
            case UInt8(ascii: "r"): 0x0D
            case UInt8(ascii: "t"): 0x09
            default: nil
            }
        if let simple {
            unescaped.append(simple)
            position += 1
            return
        }
        guard byte == UInt8(ascii: "u") else { throw expected("an escape after '\\'") }
        let escapeStart = position - 1
        var code = try hexadecimal()
        if code & 0xFC00 == 0xD800, current == UInt8(ascii: "\\"), position + 1 < bytes.count,
            bytes[position + 1] == UInt8(ascii: "u")
        {
            position += 1
            let low = try hexadecimal()
            if low & 0xFC00 == 0xDC00 { code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF }
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw failure("half of a surrogate pair in an escape", at: escapeStart)
        }
        unescaped.append(contentsOf: UTF8.encode(scalar).unsafelyUnwrapped)
    }

    /// The four hexadecimal digits after `u`.
    private mutating func hexadecimal() throws -> UInt32 {
        position += 1
        var code: UInt32 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch current {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = current - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = current - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = current - UInt8(ascii: "A") + 10
            default: throw expected("four hexadecimal digits after '\\u'")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}

// MARK: - Numbers

extension JSONParser {
    private mutating func number() throws -> JSON {
        let start = position
        let negative = consume(UInt8(ascii: "-"))
        if negative, current == UInt8(ascii: "I") {
            return try word("Infinity", .number(-.infinity))
        }
        var mantissa: UInt64 = 0
        var isExact = true  // the digits fit in `mantissa`
        let wholeStart = position
        guard digits(into: &mantissa, &isExact) > 0 else { throw expected("a digit") }
        if bytes[wholeStart] == UInt8(ascii: "0"), position > wholeStart + 1 {
            throw failure("a number with a leading zero", at: start)
        }
        let isInteger = current != UInt8(ascii: ".") && current | 0x20 != UInt8(ascii: "e")
        if isInteger, isExact {
            if !negative, let value = Int(exactly: mantissa) { return .integer(value) }
            if negative, mantissa <= UInt64(Int.max) + 1 {
                return .integer(Int(truncatingIfNeeded: 0 &- mantissa))
            }
        }
        var scale = 0
        if consume(UInt8(ascii: ".")) {
            let count = digits(into: &mantissa, &isExact)
            guard count > 0 else { throw expected("a digit after '.'") }
            scale = -count
        }
        if current | 0x20 == UInt8(ascii: "e") { scale += try exponent() }
        let value = try double(from: start, negative, mantissa, scale, isExact)
        return .number(value)
    }

    /// Reads digits and returns how many there were.
    private mutating func digits(into mantissa: inout UInt64, _ isExact: inout Bool) -> Int {
        let start = position
        while position < bytes.count {
            let digit = bytes[position] &- UInt8(ascii: "0")
            guard digit <= 9 else { break }
            let (product, overflow) = mantissa.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            if overflow || carry { isExact = false } else { mantissa = sum }
            position += 1
        }
        return position - start
    }

    private mutating func exponent() throws -> Int {
        position += 1
        let negative = consume(UInt8(ascii: "-"))
        if !negative { _ = consume(UInt8(ascii: "+")) }
        var magnitude: UInt64 = 0
        var isExact = true
        guard digits(into: &magnitude, &isExact) > 0 else {
            throw expected("a digit of an exponent")
        }
        let value = isExact ? Int(min(magnitude, 1_000_000)) : 1_000_000
        return negative ? -value : value
    }

    /// Below 2^53 with a power of ten up to 22 both operands are exact, so one multiplication or
    /// division rounds correctly; other numbers go through the standard library.
    private func double(
        from start: Int, _ negative: Bool, _ mantissa: UInt64, _ scale: Int, _ isExact: Bool
    ) throws -> Double {
        if isExact, mantissa <= 1 << 53, abs(scale) <= 22 {
            let power = Self.powersOfTen[abs(scale)]
            let magnitude = scale < 0 ? Double(mantissa) / power : Double(mantissa) * power
            return negative ? -magnitude : magnitude
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let value = Double(text) else { throw failure("a malformed number", at: start) }
        return value
    }

    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]
}

// MARK: - Errors

extension JSONParser {
    private func expected(_ what: String) -> InputError {
        failure("malformed JSON: expected \(what), found \(found)", at: position, prefixed: true)
    }

    private func controlCharacter(_ byte: UInt8) -> InputError {
        failure("a control character in a string, \(found), that must be escaped", at: position)
    }

    /// What stands at `position`, for people.
    private var found: String {
        guard position < bytes.count else { return "the end of the file" }
        let byte = bytes[position]
        if byte > 0x20, byte < 0x7F { return "'\(Character(Unicode.Scalar(byte)))'" }
        if byte == 0x0A { return "the end of the line" }
        let digits = String(byte, radix: 16, uppercase: true)
        return "byte 0x" + (digits.count < 2 ? "0" : "") + digits
    }

    private func failure(_ problem: String, at offset: Int, prefixed: Bool = false) -> InputError {
        var (line, column) = (firstLine, 1)
        for byte in bytes[..<min(offset, bytes.count)] {
            if byte == 0x0A {
                (line, column) = (line + 1, 1)
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return InputError(
            prefixed ? problem : "malformed JSON: " + problem, file: file,
            field: "line \(line), column \(column)")
    }
}
