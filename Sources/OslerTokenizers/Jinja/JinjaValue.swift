internal import OslerFormats

/// A value while a template renders: Python's types as far as templates meet them.
enum JinjaValue: Sendable {
    /// A missing variable or attribute: prints nothing, is false, and any other use of it is the
    /// error that it carries.
    case undefined(String)
    case none
    case bool(Bool)
    case int(Int)
    case float(Double)
    case string(String)
    case list(JinjaList)
    case tuple(JinjaList)
    case dict(JinjaDict)
    /// `dict.items()` and the like (`name` is what Python prints), or a `generator`: no length, no
    /// index.
    case view(name: String, JinjaList)
    case namespace(JinjaNamespace)
    case loop(JinjaLoopState)
    case function(JinjaFunction)

    init(_ json: JSON) throws(JinjaFailure) {
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .int(value)
        case .number(let value): self = .float(value)
        case .string(let value): self = .string(value)
        case .array(let items):
            var values: [JinjaValue] = []
            values.reserveCapacity(items.count)
            for item in items { values.append(try JinjaValue(item)) }
            self = .list(try JinjaList(values))
        case .object(let object):
            var dict = JinjaDict()
            for (key, value) in object.pairs {
                try dict.set(.string(key), try JinjaValue(value))
            }
            self = .dict(dict)
        }
    }

    static func list(_ items: [JinjaValue]) throws(JinjaFailure) -> JinjaValue {
        .list(try JinjaList(items))
    }
    static func generator(_ items: [JinjaValue]) throws(JinjaFailure) -> JinjaValue {
        .view(name: "generator", try JinjaList(items))
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }

    /// Levels of lists in it.
    var height: Int {
        switch self {
        case .list(let list), .tuple(let list), .view(_, let list): list.height
        case .dict(let dict): dict.height
        default: 0
        }
    }

    /// The type's name in Python, for messages.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .int: "int"
        case .float: "float"
        case .string: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dict: "dict"
        case .view(let name, _): name
        case .namespace: "Namespace"
        case .loop: "LoopContext"
        case .function: "function"
        }
    }

    var truth: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .float(let value): value != 0
        case .string(let value): !value.isEmpty
        case .list(let list), .tuple(let list): !list.items.isEmpty
        case .view(let name, let list): name == "generator" || !list.items.isEmpty
        case .dict(let dict): dict.count > 0
        case .namespace, .loop, .function: true
        }
    }

    /// A number's value as an integer when it is one; Booleans count as 0 and 1.
    var asInt: Int? {
        switch self {
        case .int(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    var asDouble: Double? {
        if case .float(let value) = self { return value }
        return asInt.map(Double.init)
    }
}

/// Items and the levels of lists in them; the bound keeps printing, comparing and releasing off the
/// stack's end.
struct JinjaList: Sendable {
    let items: [JinjaValue]
    let height: Int

    init(_ items: [JinjaValue]) throws(JinjaFailure) {
        self.items = items
        height = 1 + items.reduce(0) { max($0, $1.height) }
        try Self.check(height)
    }

    static func check(_ height: Int) throws(JinjaFailure) {
        if height > JinjaLimits.valueHeight {
            throw JinjaFailure("lists nested more than \(JinjaLimits.valueHeight) deep")
        }
    }
}

/// A dictionary in order of insertion.
struct JinjaDict: Sendable {
    private(set) var keys: [JinjaValue] = []
    private(set) var values: [JinjaValue] = []
    private(set) var height = 1
    private var index: [JinjaKey: Int] = [:]

    var count: Int { keys.count }

    func get(_ key: JinjaValue) -> JinjaValue? {
        guard let key = JinjaKey(key), let place = index[key] else { return nil }
        return values[place]
    }

    func get(_ key: String) -> JinjaValue? { index[JinjaKey(key)].map { values[$0] } }

    mutating func set(_ key: JinjaValue, _ value: JinjaValue) throws(JinjaFailure) {
        guard let hashed = JinjaKey(key) else {
            throw JinjaFailure("a \(key.typeName) can't be a dictionary's key")
        }
        height = max(height, 1 + value.height)
        try JinjaList.check(height)
        if let place = index[hashed] {
            values[place] = value
        } else {
            index[hashed] = keys.count
            keys.append(key)
            values.append(value)
        }
    }

    var pairs: [JinjaValue] {
        get throws(JinjaFailure) {
            var result: [JinjaValue] = []
            for (key, value) in zip(keys, values) {
                result.append(.tuple(try JinjaList([key, value])))
            }
            return result
        }
    }
}

/// What may be a dictionary's key. Texts are compared byte by byte, as in Python; Swift's `==`
/// would take canonically equivalent ones for the same.
enum JinjaKey: Hashable {
    case none
    case number(Double)
    case int(Int)
    case text([UInt8])

    init(_ text: String) { self = .text(Array(text.utf8)) }

    init?(_ value: JinjaValue) {
        switch value {
        case .none: self = .none
        case .string(let text): self.init(text)
        case .float(let value):
            if let whole = Int(exactly: value) { self = .int(whole) } else { self = .number(value) }
        default:
            guard let whole = value.asInt else { return nil }
            self = .int(whole)
        }
    }
}

/// `namespace(...)`: the one value that a template can change. Used by one render, on one thread.
final class JinjaNamespace: @unchecked Sendable {
    var attributes = JinjaDict()
}

/// Something that can be called.
enum JinjaFunction: Sendable {
    /// `range`, `namespace`, `dict`, `raise_exception`, `strftime_now`, ...
    case global(String)
    indirect case method(of: JinjaValue, String)
    case macro(JinjaMacro)
}

/// A macro with the scope that it was defined in. Used by one render, on one thread.
final class JinjaMacro: @unchecked Sendable {
    let definition: JinjaMacroDefinition
    let scope: JinjaScope
    init(_ definition: JinjaMacroDefinition, scope: JinjaScope) {
        (self.definition, self.scope) = (definition, scope)
    }
}

/// Names visible in a block. Used by one render, on one thread.
final class JinjaScope: @unchecked Sendable {
    var names: [String: JinjaValue] = [:]
    let parent: JinjaScope?
    init(parent: JinjaScope?) { self.parent = parent }

    func lookup(_ name: String) -> JinjaValue? {
        var scope: JinjaScope? = self
        while let here = scope {
            if let value = here.names[name] { return value }
            scope = here.parent
        }
        return nil
    }
}

/// The `loop` variable. Used by one render, on one thread.
final class JinjaLoopState: @unchecked Sendable {
    let items: [JinjaValue]
    var index = 0
    var lastChanged: [JinjaValue]?
    init(_ items: [JinjaValue]) { self.items = items }
}
