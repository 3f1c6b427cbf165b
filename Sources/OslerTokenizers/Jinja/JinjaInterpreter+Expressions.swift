extension JinjaInterpreter {
    func evaluate(_ expression: JinjaExpression, _ scope: JinjaScope) throws(JinjaFailure)
        -> JinjaValue
    {
        try enter()
        defer { leave() }
        do {
            switch expression.kind {
            case .none: return .none
            case .bool(let value): return .bool(value)
            case .int(let value): return .int(value)
            case .float(let value): return .float(value)
            case .string(let value): return .string(value)
            case .captured: return captured
            case .name(let name): return lookup(name, scope)
            case .attribute(let value, let name):
                return try JinjaMethods.attribute(evaluate(value, scope), name)
            case .item(let value, let key):
                return try JinjaOperators.item(evaluate(value, scope), evaluate(key, scope))
            case .and(let left, let right):
                let value = try evaluate(left, scope)
                return value.truth ? try evaluate(right, scope) : value
            case .or(let left, let right):
                let value = try evaluate(left, scope)
                return value.truth ? value : try evaluate(right, scope)
            case .not(let value): return .bool(try !evaluate(value, scope).truth)
            case .arithmetic(let left, let operation, let right):
                let value = try JinjaOperators.arithmetic(
                    evaluate(left, scope), operation, evaluate(right, scope))
                try charge(text: value)
                return value
            case .comparison(let first, let operations):
                return try comparison(first, operations, scope)
            case .conditional(let value, let test, let otherwise):
                if try evaluate(test, scope).truth { return try evaluate(value, scope) }
                guard let otherwise else {
                    return .undefined("the inline if-expression is false and has no else")
                }
                return try evaluate(otherwise, scope)
            default: return try compound(expression, scope)
            }
        } catch {
            throw error.at(expression.line)
        }
    }

    private func compound(_ expression: JinjaExpression, _ scope: JinjaScope) throws(JinjaFailure)
        -> JinjaValue
    {
        switch expression.kind {
        case .list(let items): return try .list(values(items, scope))
        case .tuple(let items): return .tuple(try JinjaList(values(items, scope)))
        case .dict(let pairs):
            var dict = JinjaDict()
            for (key, value) in pairs { try dict.set(evaluate(key, scope), evaluate(value, scope)) }
            return .dict(dict)
        case .slice(let value, let start, let stop, let step):
            return try slice(value, [start, stop, step], scope)
        case .call: return try call(expression, scope, caller: nil)
        case .filter(let value, let name, let arguments):
            return try filter(name, evaluate(value, scope), self.arguments(arguments, scope))
        case .test(let value, let name, let arguments):
            return .bool(try test(name, evaluate(value, scope), self.arguments(arguments, scope)))
        case .negative(let value): return try negative(evaluate(value, scope))
        case .positive(let value):
            let value = try evaluate(value, scope)
            if case .bool(let flag) = value { return .int(flag ? 1 : 0) }
            if case .undefined(let problem) = value { throw JinjaFailure(problem) }
            guard value.asDouble != nil else {
                throw JinjaFailure("'+' needs a number, not \(value.typeName)")
            }
            return value
        case .concatenation(let items):
            var text = ""
            for item in items {
                text += try PythonText.string(evaluate(item, scope))
                try JinjaOperators.checkLength(text.utf8.count)
            }
            try charge(text.utf8.count / 64)
            return .string(text)
        default: preconditionFailure("not a compound expression")
        }
    }

    private func values(_ items: [JinjaExpression], _ scope: JinjaScope) throws(JinjaFailure)
        -> [JinjaValue]
    {
        var result: [JinjaValue] = []
        for item in items { result.append(try evaluate(item, scope)) }
        return result
    }

    private func lookup(_ name: String, _ scope: JinjaScope) -> JinjaValue {
        if let value = scope.lookup(name) { return value }
        switch name {
        case "range", "namespace", "dict", "raise_exception", "strftime_now", "lipsum", "cycler",
            "joiner":
            return .function(.global(name))
        default: return .undefined("'\(name)' is undefined")
        }
    }

    private func comparison(
        _ first: JinjaExpression, _ operations: [(operation: String, operand: JinjaExpression)],
        _ scope: JinjaScope
    ) throws(JinjaFailure) -> JinjaValue {
        var left = try evaluate(first, scope)
        for (operation, operand) in operations {
            let right = try evaluate(operand, scope)
            try charge(text: left)
            try charge(text: right)
            if try !JinjaOperators.compare(left, operation, right) { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    private func slice(
        _ value: JinjaExpression, _ bounds: [JinjaExpression?], _ scope: JinjaScope
    ) throws(JinjaFailure) -> JinjaValue {
        let value = try evaluate(value, scope)
        try charge(text: value)
        var limits: [JinjaValue?] = []
        for bound in bounds {
            limits.append(
                try bound.map { (bound) throws(JinjaFailure) in try evaluate(bound, scope) })
        }
        return try JinjaOperators.slice(value, limits)
    }

    private func negative(_ value: JinjaValue) throws(JinjaFailure) -> JinjaValue {
        if case .undefined(let problem) = value { throw JinjaFailure(problem) }
        if value.asInt != nil { return try JinjaOperators.arithmetic(.int(0), "-", value) }
        guard let number = value.asDouble else {
            throw JinjaFailure("'-' needs a number, not \(value.typeName)")
        }
        return .float(-number)
    }

    // MARK: Calls

    private func arguments(_ arguments: JinjaArguments, _ scope: JinjaScope) throws(JinjaFailure)
        -> JinjaCallArguments
    {
        var result = JinjaCallArguments(positional: try values(arguments.positional, scope))
        for (name, value) in arguments.named {
            result.named.append((name, try evaluate(value, scope)))
        }
        if let spread = arguments.spread {
            result.positional += try JinjaOperators.items(of: evaluate(spread, scope))
        }
        if let spread = arguments.namedSpread {
            guard case .dict(let dict) = try evaluate(spread, scope) else {
                throw JinjaFailure("'**' needs a mapping")
            }
            for (key, value) in zip(dict.keys, dict.values) {
                result.named.append((try PythonStrings.string(key, "a name after '**'"), value))
            }
        }
        return result
    }

    /// Evaluates a call; `caller` is the body of the `{% call %}` block that makes it.
    func call(_ expression: JinjaExpression, _ scope: JinjaScope, caller: JinjaMacro?)
        throws(JinjaFailure) -> JinjaValue
    {
        guard case .call(let callee, let arguments) = expression.kind else {
            preconditionFailure("not a call")
        }
        let function = try evaluate(callee, scope)
        var values = try self.arguments(arguments, scope)
        if let caller { values.named.append(("caller", .function(.macro(caller)))) }
        switch function {
        case .function(.macro(let macro)): return try invoke(macro, values)
        case .function(.global(let name)): return try global(name, values)
        case .function(.method(let receiver, let name)):
            try charge(text: receiver)
            let result = try JinjaMethods.call(receiver, name, values)
            try charge(text: result)
            return result
        case .undefined(let problem): throw JinjaFailure(problem)
        default: throw JinjaFailure("a \(function.typeName) can't be called")
        }
    }

    func filter(_ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> JinjaValue
    {
        guard JinjaFilters.names.contains(name) else {
            throw JinjaFailure("unknown filter '\(name)'")
        }
        try enter()
        defer { leave() }
        try charge(text: value)
        let result = try JinjaFilters.apply(name, value, arguments, self)
        try charge(text: result)
        return result
    }

    func test(_ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> Bool
    {
        guard JinjaTests.names.contains(name) else { throw JinjaFailure("unknown test '\(name)'") }
        try charge()
        return try JinjaTests.holds(name, value, arguments)
    }

    private func global(_ name: String, _ arguments: JinjaCallArguments) throws(JinjaFailure)
        -> JinjaValue
    {
        switch name {
        case "raise_exception":
            let message = try arguments.bound(["message"], of: name)[0]
            throw JinjaFailure(
                "the template refuses: "
                    + (try message.map { (message) throws(JinjaFailure) in
                        try PythonText.string(message)
                    } ?? ""))
        case "strftime_now":
            let format = try PythonStrings.string(
                try arguments.bound(["format"], of: name)[0], "format")
            return .string(PythonText.now(format))
        case "range": return try range(arguments)
        case "namespace", "dict":
            guard arguments.positional.count <= 1 else {
                throw JinjaFailure("'\(name)' takes at most one mapping")
            }
            var dict = JinjaDict()
            if case .dict(let given) = arguments.positional.first {
                dict = given
            } else if let given = arguments.positional.first {
                for pair in try JinjaOperators.items(of: given) {
                    let items = try JinjaOperators.items(of: pair)
                    guard items.count == 2 else { throw JinjaFailure("'\(name)' needs pairs") }
                    try dict.set(items[0], items[1])
                }
            }
            for (name, value) in arguments.named { try dict.set(.string(name), value) }
            if name == "dict" { return .dict(dict) }
            var attributes: [(name: String, value: JinjaValue)] = []
            for (key, value) in zip(dict.keys, dict.values) {
                attributes.append((try PythonStrings.string(key, "a namespace's attribute"), value))
            }
            return try namespace(attributes)
        default: throw JinjaFailure("the function '\(name)' is not supported in a chat template")
        }
    }

    private func range(_ arguments: JinjaCallArguments) throws(JinjaFailure) -> JinjaValue {
        var numbers: [Int] = []
        guard arguments.named.isEmpty, (1...3).contains(arguments.positional.count) else {
            throw JinjaFailure("'range' takes one to three numbers")
        }
        for value in arguments.positional {
            numbers.append(try PythonStrings.int(value, "range", nil))
        }
        let start = numbers.count > 1 ? numbers[0] : 0
        let stop = numbers.count > 1 ? numbers[1] : numbers[0]
        let step = numbers.count > 2 ? numbers[2] : 1
        guard step != 0 else { throw JinjaFailure("the step of 'range' can't be zero") }
        var items: [JinjaValue] = []
        for number in stride(from: start, to: stop, by: step) {
            items.append(.int(number))
            if items.count > JinjaLimits.rangeLength {
                throw JinjaFailure("'range' gives more than \(JinjaLimits.rangeLength) numbers")
            }
        }
        try charge(items.count)
        return try .list(items)
    }
}
