struct JinjaToken: Sendable {
    enum Kind: Sendable {
        case data, blockBegin, blockEnd, variableBegin, variableEnd
        case name, string, integer, float, symbol, end
    }
    var kind: Kind
    /// Text with escapes and underscores resolved.
    var text: String
    var line: Int

    /// How an error names it.
    var description: String {
        switch kind {
        case .data: "template text"
        case .blockBegin: "'{%'"
        case .blockEnd: "'%}'"
        case .variableBegin: "'{{'"
        case .variableEnd: "'}}'"
        case .end: "the end of the template"
        case .string: "the string '\(text)'"
        default: "'\(text)'"
        }
    }
}

/// Cuts a template into tokens with the settings of transformers: `trim_blocks` (the newline after
/// a tag or comment goes) and `lstrip_blocks` (so do blanks between the line's start and the tag),
/// one trailing newline dropped, `\r\n` and `\r` read as `\n`.
struct JinjaLexer {
    private let source: [Unicode.Scalar]
    private var position = 0
    private var line = 1
    private var tokens: [JinjaToken] = []

    static func tokens(_ source: String) throws(JinjaFailure) -> [JinjaToken] {
        var lexer = JinjaLexer(source)
        try lexer.run()
        return lexer.tokens
    }

    private init(_ text: String) {
        var scalars: [Unicode.Scalar] = []
        scalars.reserveCapacity(text.utf8.count)
        var afterReturn = false
        for scalar in text.unicodeScalars {
            if scalar == "\n" && afterReturn {
                afterReturn = false
                continue
            }
            afterReturn = scalar == "\r"
            scalars.append(afterReturn ? "\n" : scalar)
        }
        if scalars.last == "\n" { scalars.removeLast() }
        source = scalars
    }

    private mutating func run() throws(JinjaFailure) {
        while position < source.count {
            guard let start = nextTag() else {
                append(.data, text(position..<source.count))
                advance(to: source.count)
                break
            }
            switch source[start + 1] {
            case "{": try variable(start)
            case "#": try comment(start)
            default:
                if let bodyStart = rawBody(start) {
                    try raw(start, bodyStart: bodyStart)
                } else {
                    try block(start)
                }
            }
        }
        append(.end, "")
    }

    // MARK: Tags

    private func nextTag() -> Int? {
        var i = position
        while i + 1 < source.count {
            if source[i] == "{",
                source[i + 1] == "{" || source[i + 1] == "%" || source[i + 1] == "#"
            {
                return i
            }
            i += 1
        }
        return nil
    }

    /// Emits the text before a tag, stripped as the tag's sign says, and moves past the tag's
    /// opening and sign.
    private mutating func textBefore(_ start: Int, opening: Int, strippingLine: Bool) {
        var end = start
        let sign = scalar(start + opening)
        if sign == "-" {
            while end > position, source[end - 1].isPythonSpace { end -= 1 }
        } else if sign != "+" && strippingLine {
            var lineStart = start
            while lineStart > position, source[lineStart - 1] != "\n" { lineStart -= 1 }
            let startsLine = lineStart == 0 || source[lineStart - 1] == "\n"
            if startsLine, source[lineStart..<start].allSatisfy(\.isPythonSpace) { end = lineStart }
        }
        if end > position { append(.data, text(position..<end)) }
        advance(to: start + opening + (sign == "-" || sign == "+" ? 1 : 0))
    }

    private mutating func variable(_ start: Int) throws(JinjaFailure) {
        textBefore(start, opening: 2, strippingLine: false)
        append(.variableBegin, "{{")
        try expressionTokens(closing: .variableEnd, opened: line)
    }

    private mutating func block(_ start: Int) throws(JinjaFailure) {
        textBefore(start, opening: 2, strippingLine: true)
        append(.blockBegin, "{%")
        try expressionTokens(closing: .blockEnd, opened: line)
    }

    private mutating func comment(_ start: Int) throws(JinjaFailure) {
        textBefore(start, opening: 2, strippingLine: true)
        let opened = line
        var i = position
        while i + 1 < source.count {
            if let end = closing("#", at: i) { return advance(to: end) }
            i += 1
        }
        throw JinjaFailure("the comment '{#' is never closed", line: opened)
    }

    /// Where the text of `{% raw %}` begins, if that is the tag at `start`.
    private func rawBody(_ start: Int) -> Int? {
        guard let after = keyword("raw", at: start) else { return nil }
        if scalar(after) == "-", matches("%}", at: after + 1) { return skipSpaces(after + 3) }
        return matches("%}", at: after) ? after + 2 : nil
    }

    /// Past `{%`, a sign, `word` and blanks.
    private func keyword(_ word: String, at start: Int) -> Int? {
        guard matches("{%", at: start) else { return nil }
        var i = start + 2
        if scalar(i) == "-" || scalar(i) == "+" { i += 1 }
        i = skipSpaces(i)
        guard matches(word, at: i) else { return nil }
        return skipSpaces(i + word.unicodeScalars.count)
    }

    private mutating func raw(_ start: Int, bodyStart: Int) throws(JinjaFailure) {
        textBefore(start, opening: 2, strippingLine: true)
        let opened = line
        advance(to: bodyStart)
        var i = bodyStart
        while i + 1 < source.count {
            if let after = keyword("endraw", at: i), let end = closing("%", at: after) {
                textBefore(i, opening: 2, strippingLine: true)
                return advance(to: end)
            }
            i += 1
        }
        throw JinjaFailure("'{% raw %}' is never closed", line: opened)
    }

    /// Past a closing `%}` or `#}` at `i`, its sign, and what the sign or `trim_blocks` takes after
    /// it.
    private func closing(_ mark: Unicode.Scalar, at i: Int) -> Int? {
        func closes(_ i: Int) -> Bool { scalar(i) == mark && scalar(i + 1) == "}" }
        if closes(i) { return scalar(i + 2) == "\n" ? i + 3 : i + 2 }
        if scalar(i) == "+", closes(i + 1) { return i + 3 }
        if scalar(i) == "-", closes(i + 1) { return skipSpaces(i + 3) }
        return nil
    }

    // MARK: Expressions

    private mutating func expressionTokens(closing kind: JinjaToken.Kind, opened: Int)
        throws(JinjaFailure)
    {
        var brackets: [Unicode.Scalar] = []
        while position < source.count {
            if brackets.isEmpty {
                if kind == .blockEnd, let end = closing("%", at: position) {
                    append(kind, "%}")
                    return advance(to: end)
                }
                if kind == .variableEnd, let end = variableEnd() {
                    append(kind, "}}")
                    return advance(to: end)
                }
            }
            let first = source[position]
            if first.isPythonSpace {
                advance(to: position + 1)
            } else if first.isDigit {
                try number()
            } else if first == "_" || first.properties.isXIDStart {
                var end = position + 1
                while let next = scalar(end), next == "_" || next.properties.isXIDContinue {
                    end += 1
                }
                append(.name, text(position..<end))
                advance(to: end)
            } else if first == "'" || first == "\"" {
                try string(first)
            } else {
                try symbol(&brackets)
            }
        }
        let opening = kind == .blockEnd ? "{%" : "{{"
        throw JinjaFailure("'\(opening)' is never closed", line: opened)
    }

    private func variableEnd() -> Int? {
        if matches("}}", at: position) { return position + 2 }
        return matches("-}}", at: position) ? skipSpaces(position + 3) : nil
    }

    private mutating func symbol(_ brackets: inout [Unicode.Scalar]) throws(JinjaFailure) {
        for pair in ["//", "**", "==", "!=", ">=", "<="] where matches(pair, at: position) {
            append(.symbol, pair)
            return advance(to: position + 2)
        }
        let mark = source[position]
        switch mark {
        case "(": brackets.append(")")
        case "[": brackets.append("]")
        case "{": brackets.append("}")
        case ")", "]", "}":
            guard let expected = brackets.popLast() else {
                throw JinjaFailure("unexpected '\(mark)'", line: line)
            }
            guard expected == mark else {
                throw JinjaFailure("unexpected '\(mark)', expected '\(expected)'", line: line)
            }
        case "+", "-", "/", "*", "%", "~", ">", "<", "=", ".", ":", "|", ",", ";": break
        default: throw JinjaFailure("unexpected character '\(mark)'", line: line)
        }
        append(.symbol, String(mark))
        advance(to: position + 1)
    }

    private mutating func number() throws(JinjaFailure) {
        let prefix =
            scalar(position) == "0" ? scalar(position + 1)?.properties.lowercaseMapping : nil
        let radix = ["x": 16, "o": 8, "b": 2][prefix ?? ""]
        if let radix {
            var end = position + 2
            while let next = scalar(end), next == "_" || next.properties.isASCIIHexDigit {
                end += 1
            }
            let digits = text(position + 2..<end).filter { $0 != "_" }
            guard let value = Int(digits, radix: radix) else {
                throw JinjaFailure("'\(text(position..<end))' is no number", line: line)
            }
            append(.integer, String(value))
            return advance(to: end)
        }
        var end = digits(position)
        var isFloat = false
        let followsDot = position > 0 && source[position - 1] == "."
        if !followsDot {
            if scalar(end) == ".", scalar(end + 1)?.isDigit == true {
                end = digits(end + 1)
                isFloat = true
            }
            if scalar(end) == "e" || scalar(end) == "E" {
                var exponent = end + 1
                if scalar(exponent) == "+" || scalar(exponent) == "-" { exponent += 1 }
                if scalar(exponent)?.isDigit == true {
                    end = digits(exponent)
                    isFloat = true
                }
            }
        }
        append(isFloat ? .float : .integer, text(position..<end).filter { $0 != "_" })
        advance(to: end)
    }

    private func digits(_ start: Int) -> Int {
        var end = start
        while let next = scalar(end),
            next.isDigit || (next == "_" && scalar(end + 1)?.isDigit == true)
        {
            end += 1
        }
        return end
    }

    /// A string literal with Python's escapes; an unknown escape stays as it is written.
    private mutating func string(_ quote: Unicode.Scalar) throws(JinjaFailure) {
        let opened = line
        var value = String.UnicodeScalarView()
        var i = position + 1
        while let next = scalar(i), next != quote {
            guard next == "\\" else {
                value.append(next)
                i += 1
                continue
            }
            guard let letter = scalar(i + 1) else { break }
            i += 2
            switch letter {
            case "\n": break
            case "n": value.append("\n")
            case "t": value.append("\t")
            case "r": value.append("\r")
            case "a": value.append("\u{7}")
            case "b": value.append("\u{8}")
            case "f": value.append("\u{c}")
            case "v": value.append("\u{b}")
            case "\\", "'", "\"": value.append(letter)
            case "0"..."7":
                var end = i
                while end < i + 2, let digit = scalar(end), ("0"..."7").contains(digit) { end += 1 }
                value.append(try escape(text(i - 1..<end), radix: 8))
                i = end
            case "x", "u", "U":
                let count = letter == "x" ? 2 : letter == "u" ? 4 : 8
                value.append(
                    try escape(text(i..<min(i + count, source.count)), count: count, radix: 16))
                i += count
            case "N": throw JinjaFailure("'\\N{...}' in a string is not supported", line: opened)
            default:
                value.append("\\")
                value.append(letter)
            }
        }
        guard scalar(i) == quote else {
            throw JinjaFailure("the string is never closed", line: opened)
        }
        append(.string, String(value))
        advance(to: i + 1)
    }

    private func escape(_ digits: String, count: Int? = nil, radix: Int) throws(JinjaFailure)
        -> Unicode.Scalar
    {
        guard count == nil || digits.unicodeScalars.count == count, digits.first != "+",
            digits.first != "-",
            let value = UInt32(digits, radix: radix), let scalar = Unicode.Scalar(value)
        else { throw JinjaFailure("'\\\(digits)' in a string is no character", line: line) }
        return scalar
    }

    // MARK: Scalars

    private func scalar(_ i: Int) -> Unicode.Scalar? { i < source.count ? source[i] : nil }

    private func matches(_ word: String, at start: Int) -> Bool {
        var i = start
        for scalar in word.unicodeScalars {
            guard i < source.count, source[i] == scalar else { return false }
            i += 1
        }
        return true
    }

    private func skipSpaces(_ start: Int) -> Int {
        var i = start
        while let next = scalar(i), next.isPythonSpace { i += 1 }
        return i
    }

    private func text(_ range: Range<Int>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: source[range])
        return String(view)
    }

    private mutating func advance(to end: Int) {
        for scalar in source[position..<end] where scalar == "\n" { line += 1 }
        position = end
    }

    private mutating func append(_ kind: JinjaToken.Kind, _ text: String) {
        tokens.append(JinjaToken(kind: kind, text: text, line: line))
    }
}

extension Unicode.Scalar {
    var isDigit: Bool { ("0"..."9").contains(self) }

    /// Python's `str.isspace`, which `\s`, `strip()` and `split()` go by.
    var isPythonSpace: Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F,
            0x205F, 0x3000:
            true
        default: false
        }
    }
}
