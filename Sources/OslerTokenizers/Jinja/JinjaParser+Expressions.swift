/// Expressions, by Jinja's precedence: `if else`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* /
/// // %`, `**`, signs, then `.x`, `[x]`, `(x)`, filters and tests.
extension JinjaParser {
    mutating func expression() throws(JinjaFailure) -> JinjaExpression {
        try enter()
        nesting += 1
        defer { nesting -= 1 }
        return try conditionalExpression()
    }

    /// One expression, or a tuple when commas follow.
    mutating func tupleExpression(
        allowingConditional: Bool = true, ending: String? = nil, parenthesised: Bool = false
    ) throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var items: [JinjaExpression] = []
        var isTuple = false
        while !endsTuple(ending) {
            items.append(
                try allowingConditional ? expression() : alternative())
            guard skip(symbol: ",") else { break }
            isTuple = true
        }
        if !isTuple, let first = items.first { return first }
        if items.isEmpty && !parenthesised {
            throw JinjaFailure("expected an expression, found \(current.description)", line: line)
        }
        return try make(.tuple(items), line, items)
    }

    private func endsTuple(_ ending: String?) -> Bool {
        if let ending, at(.name, ending) { return true }
        return current.kind == .variableEnd || current.kind == .blockEnd || at(.symbol, ")")
    }

    // MARK: Operators

    private mutating func conditionalExpression() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        let unknownBefore = unknown.count
        var value = try alternative()
        guard at(.name, "if") else { return value }
        conditional += 1
        defer { conditional -= 1 }
        unknown.removeSubrange(unknownBefore...)
        while skip(name: "if") {
            let test = try alternative()
            let otherwise = skip(name: "else") ? try expression() : nil
            value = try make(
                .conditional(value, test: test, otherwise: otherwise), line,
                [value, test] + (otherwise.map { [$0] } ?? []))
        }
        return value
    }

    private mutating func alternative() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var left = try conjunction()
        while skip(name: "or") {
            let right = try conjunction()
            left = try make(.or(left, right), line, [left, right])
        }
        return left
    }

    private mutating func conjunction() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var left = try negation()
        while skip(name: "and") {
            let right = try negation()
            left = try make(.and(left, right), line, [left, right])
        }
        return left
    }

    private mutating func negation() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var count = 0
        while skip(name: "not") { count += 1 }
        var value = try comparison()
        for _ in 0..<count { value = try make(.not(value), line, [value]) }
        return value
    }

    private mutating func comparison() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        let first = try sum()
        var operations: [(operation: String, operand: JinjaExpression)] = []
        while true {
            if current.kind == .symbol, ["==", "!=", "<", "<=", ">", ">="].contains(current.text) {
                let operation = current.text
                advance()
                operations.append((operation, try sum()))
            } else if skip(name: "in") {
                operations.append(("in", try sum()))
            } else if at(.name, "not"), next.kind == .name, next.text == "in" {
                advance()
                advance()
                operations.append(("not in", try sum()))
            } else {
                break
            }
        }
        if operations.isEmpty { return first }
        return try make(.comparison(first, operations), line, [first] + operations.map(\.operand))
    }

    private mutating func sum() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var left = try concatenation()
        while at(.symbol, "+") || at(.symbol, "-") {
            let operation = current.text
            advance()
            let right = try concatenation()
            left = try make(.arithmetic(left, operation, right), line, [left, right])
        }
        return left
    }

    private mutating func concatenation() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        let first = try product()
        guard at(.symbol, "~") else { return first }
        var items = [first]
        while skip(symbol: "~") { items.append(try product()) }
        return try make(.concatenation(items), line, items)
    }

    private mutating func product() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var left = try power()
        while current.kind == .symbol, ["*", "/", "//", "%"].contains(current.text) {
            let operation = current.text
            advance()
            let right = try power()
            left = try make(.arithmetic(left, operation, right), line, [left, right])
        }
        return left
    }

    private mutating func power() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var left = try unary()
        while skip(symbol: "**") {
            let right = try unary()
            left = try make(.arithmetic(left, "**", right), line, [left, right])
        }
        return left
    }

    private mutating func unary(filtered: Bool = true) throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        var value: JinjaExpression
        if at(.symbol, "-") || at(.symbol, "+") {
            let isNegative = at(.symbol, "-")
            advance()
            try enter()
            nesting += 1
            defer { nesting -= 1 }
            let operand = try unary(filtered: false)
            value = try make(isNegative ? .negative(operand) : .positive(operand), line, [operand])
        } else {
            value = try primary()
        }
        value = try postfix(value)
        return filtered ? try filters(value) : value
    }

    // MARK: Values

    private mutating func primary() throws(JinjaFailure) -> JinjaExpression {
        let token = current
        let line = token.line
        switch token.kind {
        case .name:
            advance()
            switch token.text {
            case "true", "True": return try make(.bool(true), line)
            case "false", "False": return try make(.bool(false), line)
            case "none", "None": return try make(.none, line)
            case "varargs", "kwargs", "caller": specialNames.insert(token.text)
            default: break
            }
            return try make(.name(token.text), line)
        case .string:
            var value = ""
            while current.kind == .string {
                value += current.text
                advance()
            }
            return try make(.string(value), line)
        case .integer:
            advance()
            guard let value = Int(token.text) else {
                throw JinjaFailure("the number \(token.text) is too large", line: line)
            }
            return try make(.int(value), line)
        case .float:
            advance()
            guard let value = Double(token.text) else {
                throw JinjaFailure("'\(token.text)' is no number", line: line)
            }
            return try make(.float(value), line)
        default: return try bracketed()
        }
    }

    private mutating func bracketed() throws(JinjaFailure) -> JinjaExpression {
        let line = self.line
        if skip(symbol: "(") {
            let value = try tupleExpression(parenthesised: true)
            try expect(symbol: ")")
            return value
        }
        if skip(symbol: "[") {
            var items: [JinjaExpression] = []
            while !at(.symbol, "]") {
                items.append(try expression())
                if !skip(symbol: ",") { break }
            }
            try expect(symbol: "]")
            return try make(.list(items), line, items)
        }
        if skip(symbol: "{") {
            var pairs: [(key: JinjaExpression, value: JinjaExpression)] = []
            while !at(.symbol, "}") {
                let key = try expression()
                try expect(symbol: ":")
                pairs.append((key, try expression()))
                if !skip(symbol: ",") { break }
            }
            try expect(symbol: "}")
            return try make(.dict(pairs), line, pairs.flatMap { [$0.key, $0.value] })
        }
        throw JinjaFailure("expected an expression, found \(current.description)", line: line)
    }

    private mutating func postfix(_ start: JinjaExpression) throws(JinjaFailure) -> JinjaExpression
    {
        var value = start
        while current.kind == .symbol {
            let line = self.line
            switch current.text {
            case ".":
                advance()
                value = try attribute(of: value, line)
            case "[":
                advance()
                value = try subscripted(value, line)
            case "(":
                let arguments = try arguments()
                value = try make(.call(value, arguments), line, [value] + arguments.expressions)
            default: return value
            }
        }
        return value
    }

    private mutating func attribute(of value: JinjaExpression, _ line: Int) throws(JinjaFailure)
        -> JinjaExpression
    {
        if current.kind == .integer, let index = Int(current.text) {
            advance()
            let item = try make(.int(index), line)
            return try make(.item(value, item), line, [value, item])
        }
        return try make(.attribute(value, try name("an attribute's name")), line, [value])
    }

    private mutating func subscripted(_ value: JinjaExpression, _ line: Int) throws(JinjaFailure)
        -> JinjaExpression
    {
        let start = at(.symbol, ":") ? nil : try expression()
        guard skip(symbol: ":") else {
            try expect(symbol: "]")
            guard let start else {
                throw JinjaFailure("expected an index", line: line)
            }
            return try make(.item(value, start), line, [value, start])
        }
        let stop = at(.symbol, ":") || at(.symbol, "]") ? nil : try expression()
        let step = skip(symbol: ":") && !at(.symbol, "]") ? try expression() : nil
        try expect(symbol: "]")
        return try make(
            .slice(value, start: start, stop: stop, step: step), line,
            [value] + [start, stop, step].compactMap { $0 })
    }

    private mutating func arguments() throws(JinjaFailure) -> JinjaArguments {
        var result = JinjaArguments()
        try expect(symbol: "(")
        while !at(.symbol, ")") {
            let line = self.line
            if skip(symbol: "**") {
                result.namedSpread = try expression()
            } else if skip(symbol: "*") {
                result.spread = try expression()
            } else if current.kind == .name, next.kind == .symbol, next.text == "=" {
                let name = try name("an argument's name")
                advance()
                if result.named.contains(where: { $0.name == name }) {
                    throw JinjaFailure("argument '\(name)' is given twice", line: line)
                }
                result.named.append((name, try expression()))
            } else {
                guard result.named.isEmpty, result.spread == nil, result.namedSpread == nil else {
                    throw JinjaFailure("a positional argument follows a named one", line: line)
                }
                result.positional.append(try expression())
            }
            if !skip(symbol: ",") { break }
        }
        try expect(symbol: ")")
        return result
    }

    // MARK: Filters and tests

    private mutating func filters(_ start: JinjaExpression) throws(JinjaFailure) -> JinjaExpression
    {
        var value = start
        while true {
            let line = self.line
            if at(.symbol, "|") {
                value = try filterChain(value, inline: false)
            } else if at(.name, "is") {
                advance()
                value = try test(value, line)
            } else if at(.symbol, "(") {
                let arguments = try arguments()
                value = try make(.call(value, arguments), line, [value] + arguments.expressions)
            } else {
                return value
            }
        }
    }

    /// `| a | b(x)`, or with `inline` the same without the first bar.
    mutating func filterChain(_ start: JinjaExpression, inline: Bool) throws(JinjaFailure)
        -> JinjaExpression
    {
        var value = start
        var isFirst = inline
        while isFirst || skip(symbol: "|") {
            isFirst = false
            let line = self.line
            let name = try name("a filter's name")
            if conditional == 0, !JinjaFilters.names.contains(name) {
                unknown.append(JinjaFailure("unknown filter '\(name)'", line: line))
            }
            let arguments = at(.symbol, "(") ? try arguments() : JinjaArguments()
            value = try make(.filter(value, name, arguments), line, [value] + arguments.expressions)
        }
        return value
    }

    private mutating func test(_ value: JinjaExpression, _ line: Int) throws(JinjaFailure)
        -> JinjaExpression
    {
        let isNegated = skip(name: "not")
        let name = try name("a test's name")
        if conditional == 0, !JinjaTests.names.contains(name) {
            unknown.append(JinjaFailure("unknown test '\(name)'", line: line))
        }
        var arguments = JinjaArguments()
        if at(.symbol, "(") {
            arguments = try self.arguments()
        } else if startsTestArgument {
            if at(.name, "is") {
                throw JinjaFailure("tests can't be chained with 'is'", line: line)
            }
            arguments.positional = [try postfix(primary())]
        }
        let result = try make(.test(value, name, arguments), line, [value] + arguments.expressions)
        return isNegated ? try make(.not(result), line, [result]) : result
    }

    private var startsTestArgument: Bool {
        switch current.kind {
        case .name: !["else", "or", "and"].contains(current.text)
        case .string, .integer, .float: true
        case .symbol: current.text == "[" || current.text == "{"
        default: false
        }
    }

    /// An expression of bounded height, so that neither rendering nor releasing it can overflow the
    /// stack.
    private func make(
        _ kind: JinjaExpression.Kind, _ line: Int, _ parts: [JinjaExpression] = []
    ) throws(JinjaFailure) -> JinjaExpression {
        let height = 1 + (parts.lazy.map(\.height).max() ?? 0)
        if height > JinjaLimits.expressionHeight {
            throw JinjaFailure(
                "the expression has more than \(JinjaLimits.expressionHeight) levels", line: line)
        }
        return JinjaExpression(line: line, height: height, kind: kind)
    }
}

extension JinjaArguments {
    /// All of them, in no particular order.
    var expressions: [JinjaExpression] {
        positional + named.map(\.value) + [spread, namedSpread].compactMap { $0 }
    }
}
