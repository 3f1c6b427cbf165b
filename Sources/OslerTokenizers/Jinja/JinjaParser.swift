/// Parses a template into statements: tags, text and `{{ }}`. Expressions are in
/// `JinjaParser+Expressions.swift`.
struct JinjaParser {
    var tokens: [JinjaToken]
    var position = 0
    /// Open tags and brackets, bounded by `JinjaLimits.nesting`.
    var nesting = 0
    /// Inside `if` or a conditional expression: a filter that doesn't exist is an error there only
    /// when it is reached, as in Jinja.
    var conditional = 0
    /// Filters and tests that don't exist and are always reached.
    var unknown: [JinjaFailure] = []
    /// Which of `varargs`, `kwargs` and `caller` the macro being parsed mentions.
    var specialNames: Set<String> = []
    /// `break` and `continue` are allowed.
    private var inLoop = false
    /// Tags open at this point, for messages.
    private var openTags: [(name: String, line: Int)] = []

    static func parse(_ source: String) throws(JinjaFailure) -> [JinjaStatement] {
        var parser = JinjaParser(tokens: try JinjaLexer.tokens(source))
        let statements = try parser.statements(until: [])
        if let unknown = parser.unknown.first { throw unknown }
        return statements
    }

    private init(tokens: [JinjaToken]) { self.tokens = tokens }

    // MARK: Tokens

    var current: JinjaToken { tokens[position] }
    var next: JinjaToken { tokens[min(position + 1, tokens.count - 1)] }
    var line: Int { current.line }

    mutating func advance() { if position < tokens.count - 1 { position += 1 } }

    func at(_ kind: JinjaToken.Kind, _ text: String) -> Bool {
        current.kind == kind && current.text == text
    }

    mutating func skip(symbol text: String) -> Bool {
        guard at(.symbol, text) else { return false }
        advance()
        return true
    }

    mutating func skip(name text: String) -> Bool {
        guard at(.name, text) else { return false }
        advance()
        return true
    }

    mutating func expect(symbol text: String) throws(JinjaFailure) {
        if !skip(symbol: text) {
            throw JinjaFailure("expected '\(text)', found \(current.description)", line: line)
        }
    }

    mutating func expect(name text: String) throws(JinjaFailure) {
        if !skip(name: text) {
            throw JinjaFailure("expected '\(text)', found \(current.description)", line: line)
        }
    }

    mutating func name(_ role: String) throws(JinjaFailure) -> String {
        guard current.kind == .name else {
            throw JinjaFailure("expected \(role), found \(current.description)", line: line)
        }
        defer { advance() }
        return current.text
    }

    mutating func expect(_ kind: JinjaToken.Kind, _ text: String) throws(JinjaFailure) {
        guard current.kind == kind else {
            throw JinjaFailure("expected '\(text)', found \(current.description)", line: line)
        }
        advance()
    }

    func enter() throws(JinjaFailure) {
        if nesting >= JinjaLimits.nesting {
            throw JinjaFailure(
                "more than \(JinjaLimits.nesting) nested tags and brackets", line: line)
        }
    }

    // MARK: Statements

    /// Statements up to a tag named in `ends`, which is left as the current token; up to the
    /// template's end when there are none.
    private mutating func statements(until ends: [String]) throws(JinjaFailure) -> [JinjaStatement]
    {
        var result: [JinjaStatement] = []
        while true {
            let line = self.line
            switch current.kind {
            case .data:
                result.append(JinjaStatement(line: line, kind: .data(current.text)))
                advance()
            case .variableBegin:
                advance()
                let value = try tupleExpression()
                try expect(.variableEnd, "}}")
                result.append(JinjaStatement(line: line, kind: .output(value)))
            case .blockBegin:
                advance()
                if current.kind == .name, ends.contains(current.text) { return result }
                result += try statement()
                try expect(.blockEnd, "%}")
            default:
                if let open = openTags.last {
                    throw JinjaFailure("'{% \(open.name) %}' is never closed", line: open.line)
                }
                return result
            }
        }
    }

    /// The body of a tag: its `%}`, and the statements up to one of `ends`, which is consumed and
    /// returned.
    private mutating func body(_ ends: String...) throws(JinjaFailure) -> (
        statements: [JinjaStatement], end: String
    ) {
        _ = skip(symbol: ":")
        try expect(.blockEnd, "%}")
        let statements = try statements(until: ends)
        let end = current.text
        advance()
        return (statements, end)
    }

    private mutating func statement() throws(JinjaFailure) -> [JinjaStatement] {
        let line = self.line
        let tag = try name("a tag's name")
        try enter()
        nesting += 1
        openTags.append((tag, line))
        defer {
            nesting -= 1
            openTags.removeLast()
        }
        if tag == "print" { return try printed(line) }
        return [JinjaStatement(line: line, kind: try statement(tag, line: line))]
    }

    private mutating func statement(_ tag: String, line: Int) throws(JinjaFailure)
        -> JinjaStatement.Kind
    {
        switch tag {
        case "if": return try conditionalStatement()
        case "for": return try loop()
        case "set": return try set()
        case "macro":
            return .macro(try macro(try name("the macro's name"), try parameters(), "endmacro"))
        case "call": return try callBlock(line)
        case "filter":
            let filter = try filterChain(JinjaExpression(line: line, kind: .captured), inline: true)
            return .filterBlock(filter, body: try body("endfilter").statements)
        case "with": return try with()
        case "generation": return .generation(try functionBody("endgeneration"))
        case "break", "continue":
            guard inLoop else { throw JinjaFailure("'\(tag)' outside a loop", line: line) }
            return tag == "break" ? .breakLoop : .continueLoop
        case "block", "extends", "include", "import", "from", "autoescape":
            throw JinjaFailure("'{% \(tag) %}' is not supported in a chat template", line: line)
        default: throw unknown(tag, line: line)
        }
    }

    private func unknown(_ tag: String, line: Int) -> JinjaFailure {
        let open = openTags.dropLast().last
        let hint = open.map { " (inside '{% \($0.name) %}' of line \($0.line))" } ?? ""
        return JinjaFailure("unknown tag '{% \(tag) %}'\(hint)", line: line)
    }

    /// A body that becomes a function in Jinja: `break` doesn't reach out of it.
    private mutating func functionBody(_ end: String) throws(JinjaFailure) -> [JinjaStatement] {
        let outer = inLoop
        inLoop = false
        defer { inLoop = outer }
        return try body(end).statements
    }

    private mutating func printed(_ line: Int) throws(JinjaFailure) -> [JinjaStatement] {
        var result: [JinjaStatement] = []
        while current.kind != .blockEnd {
            if !result.isEmpty { try expect(symbol: ",") }
            result.append(JinjaStatement(line: line, kind: .output(try expression())))
        }
        return result
    }

    private mutating func conditionalStatement() throws(JinjaFailure) -> JinjaStatement.Kind {
        conditional += 1
        defer { conditional -= 1 }
        var branches: [(test: JinjaExpression, body: [JinjaStatement])] = []
        while true {
            let test = try tupleExpression(allowingConditional: false)
            let (statements, end) = try body("elif", "else", "endif")
            branches.append((test, statements))
            if end == "endif" { return .conditional(branches, otherwise: []) }
            if end == "else" {
                return .conditional(branches, otherwise: try body("endif").statements)
            }
        }
    }

    private mutating func loop() throws(JinjaFailure) -> JinjaStatement.Kind {
        let target = try assignmentTarget(ending: "in")
        try expect(name: "in")
        let values = try tupleExpression(allowingConditional: false, ending: "recursive")
        let condition = skip(name: "if") ? try expression() : nil
        if at(.name, "recursive") {
            throw JinjaFailure("'recursive' loops are not supported", line: line)
        }
        let outer = inLoop
        inLoop = true
        defer { inLoop = outer }
        let (statements, end) = try body("else", "endfor")
        inLoop = outer
        let otherwise = end == "else" ? try body("endfor").statements : []
        return .loop(
            JinjaLoop(
                target: target, values: values, condition: condition, body: statements,
                otherwise: otherwise))
    }

    private mutating func set() throws(JinjaFailure) -> JinjaStatement.Kind {
        let target = try assignmentTarget(ending: nil, allowingAttribute: true)
        if skip(symbol: "=") { return .set(target, try tupleExpression()) }
        var filter: JinjaExpression?
        if at(.symbol, "|") {
            filter = try filterChain(JinjaExpression(line: line, kind: .captured), inline: false)
        }
        return .setBlock(target, filter: filter, body: try body("endset").statements)
    }

    private mutating func with() throws(JinjaFailure) -> JinjaStatement.Kind {
        var values: [(target: JinjaTarget, value: JinjaExpression)] = []
        while current.kind != .blockEnd {
            if !values.isEmpty { try expect(symbol: ",") }
            let target = try assignmentTarget(ending: nil)
            try expect(symbol: "=")
            values.append((target, try expression()))
        }
        return .with(values, body: try body("endwith").statements)
    }

    private mutating func callBlock(_ line: Int) throws(JinjaFailure) -> JinjaStatement.Kind {
        let parameters = at(.symbol, "(") ? try parameters() : []
        let call = try expression()
        guard case .call = call.kind else {
            throw JinjaFailure("'{% call %}' needs a call such as 'macro(argument)'", line: line)
        }
        return .callBlock(try macro("caller", parameters, "endcall"), call: call)
    }

    private mutating func macro(
        _ name: String, _ parameters: [(name: String, value: JinjaExpression?)], _ end: String
    ) throws(JinjaFailure) -> JinjaMacroDefinition {
        let outer = specialNames
        specialNames = []
        defer { specialNames = outer }
        let body = try functionBody(end)
        return JinjaMacroDefinition(
            name: name, parameters: parameters, body: body, specialNames: specialNames)
    }

    private mutating func parameters() throws(JinjaFailure) -> [(
        name: String, value: JinjaExpression?
    )] {
        var result: [(name: String, value: JinjaExpression?)] = []
        try expect(symbol: "(")
        while !at(.symbol, ")") {
            if !result.isEmpty { try expect(symbol: ",") }
            let name = try name("a parameter's name")
            let value = skip(symbol: "=") ? try expression() : nil
            if value == nil, result.last?.value != nil {
                throw JinjaFailure(
                    "parameter '\(name)' without a default follows one with", line: line)
            }
            result.append((name, value))
        }
        try expect(symbol: ")")
        return result
    }

    /// A name, `namespace.attribute`, or several names with commas between them, up to the name
    /// `ending`.
    private mutating func assignmentTarget(ending: String?, allowingAttribute: Bool = false)
        throws(JinjaFailure) -> JinjaTarget
    {
        var targets: [JinjaTarget] = []
        var isTuple = false
        while true {
            if let ending, at(.name, ending) { break }
            if isTuple && (at(.symbol, "=") || current.kind == .blockEnd || at(.symbol, ")")) {
                break
            }
            targets.append(try singleTarget(allowingAttribute))
            guard skip(symbol: ",") else { break }
            isTuple = true
        }
        guard let first = targets.first else {
            throw JinjaFailure(
                "expected a name to assign to, found \(current.description)", line: line)
        }
        return isTuple ? .tuple(targets) : first
    }

    private mutating func singleTarget(_ allowingAttribute: Bool) throws(JinjaFailure)
        -> JinjaTarget
    {
        if skip(symbol: "(") {
            try enter()
            nesting += 1
            defer { nesting -= 1 }
            let target = try assignmentTarget(ending: nil)
            try expect(symbol: ")")
            return target
        }
        let line = self.line
        let name = try name("a name to assign to")
        if ["true", "false", "none", "True", "False", "None"].contains(name) {
            throw JinjaFailure("can't assign to '\(name)'", line: line)
        }
        guard allowingAttribute, skip(symbol: ".") else { return .name(name) }
        return .attribute(namespace: name, try self.name("an attribute's name"))
    }
}
