/// Jinja's tests, `value is name`.
enum JinjaTests {
    static let names: Set<String> = [
        "odd", "even", "divisibleby", "defined", "undefined", "filter", "test", "none", "boolean",
        "false", "true",
        "integer", "float", "lower", "upper", "string", "mapping", "number", "sequence", "iterable",
        "callable", "sameas",
        "escaped", "in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", ">=", "ge",
        "<", "lt", "lessthan", "<=",
        "le",
    ]
    private static let comparisons = [
        "==": "==", "eq": "==", "equalto": "==", "!=": "!=", "ne": "!=", ">": ">", "gt": ">",
        "greaterthan": ">",
        ">=": ">=", "ge": ">=", "<": "<", "lt": "<", "lessthan": "<", "<=": "<=", "le": "<=",
        "in": "in",
    ]

    static func holds(_ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> Bool
    {
        if let operation = comparisons[name] {
            return try JinjaOperators.compare(value, operation, argument(name, arguments))
        }
        switch name {
        case "sameas": return try isSame(value, argument(name, arguments))
        case "divisibleby":
            return JinjaOperators.isEqual(
                try JinjaOperators.arithmetic(value, "%", argument(name, arguments)), .int(0))
        case "odd", "even":
            let remainder = try JinjaOperators.arithmetic(value, "%", .int(2))
            return JinjaOperators.isEqual(remainder, .int(name == "odd" ? 1 : 0))
        case "lower", "upper":
            return PythonStrings.isCased(try PythonText.string(value), upper: name == "upper")
        case "filter", "test":
            guard case .string(let text) = value else { return false }
            return name == "filter" ? JinjaFilters.names.contains(text) : names.contains(text)
        default:
            _ = try arguments.bound([], of: name)
            return isKind(name, value)
        }
    }

    private static func argument(_ name: String, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> JinjaValue
    {
        guard arguments.positional.count == 1, arguments.named.isEmpty else {
            throw JinjaFailure("the test '\(name)' takes one argument")
        }
        return arguments.positional[0]
    }

    private static func isKind(_ name: String, _ value: JinjaValue) -> Bool {
        switch (name, value) {
        case ("defined", _): !value.isUndefined
        case ("undefined", .undefined), ("none", .none), ("boolean", .bool), ("true", .bool(true)),
            ("false", .bool(false)), ("integer", .int), ("float", .float), ("string", .string),
            ("mapping", .dict), ("callable", .function):
            true
        case ("number", .int), ("number", .float), ("number", .bool): true
        case ("sequence", .string), ("sequence", .list), ("sequence", .tuple), ("sequence", .dict):
            true
        case ("iterable", .string), ("iterable", .list), ("iterable", .tuple), ("iterable", .dict),
            ("iterable", .view), ("iterable", .undefined), ("iterable", .loop):
            true
        default: false
        }
    }

    /// Identity, for the values where a template can know it.
    private static func isSame(_ a: JinjaValue, _ b: JinjaValue) -> Bool {
        switch (a, b) {
        case (.bool(let a), .bool(let b)): a == b
        case (.bool, _), (_, .bool): false
        case (.int, .float), (.float, .int): false
        default: JinjaOperators.isEqual(a, b)
        }
    }
}
