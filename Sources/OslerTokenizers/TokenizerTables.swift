/// Finds and reads the two large tables of a `tokenizer.json` without making a value of every
/// string: five times faster than a JSON tree. Everything gives nil or false for text that it does
/// not understand; the caller then lets the JSON parser say what is wrong.
struct TokenizerTables {
    /// Where the values of `model.vocab` and `model.merges` are.
    struct Spans {
        var vocabulary: Range<Int>
        var merges: Range<Int>
    }

    private let text: UnsafeBufferPointer<UInt8>
    private var i = 0

    init(_ text: UnsafeBufferPointer<UInt8>) { self.text = text }

    mutating func find() -> Spans? {
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { i = 3 }
        var vocabulary: Range<Int>?
        var merges: Range<Int>?
        let isObject = members { reader, key in
            guard key == "model" else { return reader.skipValue() }
            return reader.members { reader, key in
                let start = reader.i
                guard reader.skipValue() else { return false }
                if key == "vocab" { vocabulary = start..<reader.i }
                if key == "merges" { merges = start..<reader.i }
                return true
            }
        }
        guard isObject, let vocabulary, let merges else { return nil }
        return Spans(vocabulary: vocabulary, merges: merges)
    }

    /// The file with null in place of the tables.
    func remainder(without spans: Spans) -> [UInt8] {
        let null = Array("null".utf8)
        let (first, second) =
            spans.vocabulary.lowerBound < spans.merges.lowerBound
            ? (spans.vocabulary, spans.merges) : (spans.merges, spans.vocabulary)
        return text[..<first.lowerBound] + null + text[first.upperBound..<second.lowerBound] + null
            + text[second.upperBound...]
    }

    mutating func readVocabulary(_ span: Range<Int>, into source: inout TokenizerSource) -> Bool {
        i = span.lowerBound
        guard take("{") else { return false }
        if take("}") { return true }
        repeat {
            guard appendString(to: &source.tokens), take(":"), let id = integer() else {
                return false
            }
            source.ids.append(id)
        } while take(",")
        return take("}")
    }

    mutating func readMerges(_ span: Range<Int>, into source: inout TokenizerSource) -> Bool {
        i = span.lowerBound
        guard take("[") else { return false }
        if take("]") { return true }
        var both: [UInt8] = []
        repeat {
            if take("[") {
                guard appendString(to: &source.mergeSides), take(","),
                    appendString(to: &source.mergeSides), take("]")
                else { return false }
                continue
            }
            both.removeAll(keepingCapacity: true)
            guard string(into: &both), let gap = both.firstIndex(of: 0x20),
                !both[(gap + 1)...].contains(0x20)
            else { return false }
            source.mergeSides.append(both[..<gap])
            source.mergeSides.append(both[(gap + 1)...])
        } while take(",")
        return take("]")
    }

    // MARK: Reading

    private var current: UInt8 { i < text.count ? text[i] : 0 }

    private mutating func skipSpace() {
        while current == 0x20 || current == 0x0A || current == 0x0D || current == 0x09 { i += 1 }
    }

    private mutating func take(_ sign: Unicode.Scalar) -> Bool {
        skipSpace()
        guard current == UInt8(ascii: sign) else { return false }
        i += 1
        return true
    }

    /// The members of an object; `body` reads each value.
    private mutating func members(_ body: (inout Self, String) -> Bool) -> Bool {
        guard take("{") else { return false }
        if take("}") { return true }
        var key: [UInt8] = []
        repeat {
            key.removeAll(keepingCapacity: true)
            skipSpace()
            guard string(into: &key), take(":") else { return false }
            skipSpace()
            guard body(&self, String(decoding: key, as: UTF8.self)) else { return false }
        } while take(",")
        return take("}")
    }

    /// Goes behind a value, looking only at brackets and strings.
    private mutating func skipValue() -> Bool {
        var depth = 0
        while i < text.count {
            switch text[i] {
            case UInt8(ascii: "\""):
                i += 1
                while current != UInt8(ascii: "\"") {
                    i += current == UInt8(ascii: "\\") ? 2 : 1
                    if i >= text.count { return false }
                }
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return true }
                depth -= 1
                if depth == 0 {
                    i += 1
                    return true
                }
            case UInt8(ascii: ","): if depth == 0 { return true }
            default: break
            }
            i += 1
        }
        return false
    }

    private mutating func integer() -> Int? {
        skipSpace()
        let start = i
        var value = 0
        while current &- 0x30 < 10 {
            value = value * 10 + Int(current &- 0x30)
            i += 1
            if i - start > 10 { return nil }
        }
        return i > start ? value : nil
    }

    private mutating func appendString(to strings: inout ByteStrings) -> Bool {
        skipSpace()
        var isGood = false
        strings.append { isGood = string(into: &$0) }
        return isGood
    }

    /// A string with its escapes resolved, appended to `bytes`.
    private mutating func string(into bytes: inout [UInt8]) -> Bool {
        guard current == UInt8(ascii: "\"") else { return false }
        i += 1
        while i < text.count {
            let start = i
            while i < text.count, text[i] != UInt8(ascii: "\""), text[i] != UInt8(ascii: "\\"),
                text[i] >= 0x20
            {
                i += 1
            }
            bytes.append(contentsOf: text[start..<i])
            if current == UInt8(ascii: "\"") {
                i += 1
                return true
            }
            guard current == UInt8(ascii: "\\"), escape(into: &bytes) else { return false }
        }
        return false
    }

    private mutating func escape(into bytes: inout [UInt8]) -> Bool {
        i += 2
        guard i <= text.count else { return false }
        switch text[i - 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(text[i - 1])
        case UInt8(ascii: "n"): bytes.append(0x0A)
        case UInt8(ascii: "r"): bytes.append(0x0D)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0C)
        case UInt8(ascii: "u"):
            guard var value = hexadecimal() else { return false }
            if (0xD800..<0xDC00).contains(value) {
                guard i + 1 < text.count, text[i] == UInt8(ascii: "\\"),
                    text[i + 1] == UInt8(ascii: "u")
                else { return false }
                i += 2
                guard let low = hexadecimal(), (0xDC00..<0xE000).contains(low) else { return false }
                value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(value) else { return false }
            bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default: return false
        }
        return true
    }

    private mutating func hexadecimal() -> UInt32? {
        guard i + 4 <= text.count else { return nil }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(text[i])).hexDigitValue else { return nil }
            value = value << 4 | UInt32(digit)
            i += 1
        }
        return value
    }
}
