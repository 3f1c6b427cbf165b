/// Arguments of a call, evaluated.
struct JinjaCallArguments {
    var positional: [JinjaValue] = []
    var named: [(name: String, value: JinjaValue)] = []

    /// The arguments in the order of `names`, nil where one isn't given.
    func bound(_ names: [String], of function: String) throws(JinjaFailure) -> [JinjaValue?] {
        guard positional.count <= names.count else {
            throw JinjaFailure(
                "'\(function)' takes at most \(names.count) argument(s), not \(positional.count)")
        }
        var result: [JinjaValue?] = positional
        result += Array(repeating: nil, count: names.count - positional.count)
        for (name, value) in named {
            guard let place = names.firstIndex(of: name) else {
                throw JinjaFailure("'\(function)' has no argument '\(name)'")
            }
            if result[place] != nil { throw JinjaFailure("'\(function)' gets '\(name)' twice") }
            result[place] = value
        }
        return result
    }
}

/// Attributes of values and methods of str, dict and list, those that don't change their value.
enum JinjaMethods {
    private static let ofString: Set<String> = [
        "capitalize", "casefold", "center", "count", "endswith", "find", "format", "index",
        "isalnum", "isalpha",
        "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper",
        "join", "ljust",
        "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
        "rindex", "rjust",
        "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase",
        "title", "upper",
        "zfill", "encode", "expandtabs", "format_map", "isidentifier", "isprintable", "translate",
        "maketrans",
    ]
    private static let ofDict: Set<String> = ["copy", "fromkeys", "get", "items", "keys", "values"]
    private static let ofList: Set<String> = ["copy", "count", "index"]
    /// Jinja's sandbox gives an undefined value for these.
    private static let changing: Set<String> = [
        "append", "clear", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault",
        "sort", "update",
    ]

    /// `value.name`: a method or attribute, else an item of that name. `found` is false when the
    /// item was already looked for.
    static func attribute(_ value: JinjaValue, _ name: String, found: Bool = true)
        throws(JinjaFailure) -> JinjaValue
    {
        switch value {
        case .undefined(let problem): throw JinjaFailure(problem)
        case .dict(let dict):
            if ofDict.contains(name) { return .function(.method(of: value, name)) }
            if ["clear", "pop", "popitem", "setdefault", "update"].contains(name) {
                return unsafe(value, name)
            }
            if found, let item = dict.get(name) { return item }
        case .string: if ofString.contains(name) { return .function(.method(of: value, name)) }
        case .list:
            if ofList.contains(name) { return .function(.method(of: value, name)) }
            if changing.contains(name) { return unsafe(value, name) }
        case .tuple:
            if name == "count" || name == "index" { return .function(.method(of: value, name)) }
        case .namespace(let namespace):
            if let item = namespace.attributes.get(name) { return item }
        case .loop(let state): if let item = loop(state, name) { return item }
        default: break
        }
        if name.utf8.starts(with: "__".utf8) { return unsafe(value, name) }
        return .undefined("'\(JinjaOperators.object(value))' has no attribute '\(name)'")
    }

    private static func unsafe(_ value: JinjaValue, _ name: String) -> JinjaValue {
        .undefined("access to attribute '\(name)' of '\(value.typeName)' object is unsafe")
    }

    private static func loop(_ state: JinjaLoopState, _ name: String) -> JinjaValue? {
        let (index, count) = (state.index, state.items.count)
        switch name {
        case "index": return .int(index + 1)
        case "index0": return .int(index)
        case "revindex": return .int(count - index)
        case "revindex0": return .int(count - index - 1)
        case "first": return .bool(index == 0)
        case "last": return .bool(index == count - 1)
        case "length": return .int(count)
        case "depth": return .int(1)
        case "depth0": return .int(0)
        case "previtem":
            return index > 0 ? state.items[index - 1] : .undefined("there is no previous item")
        case "nextitem":
            return index + 1 < count ? state.items[index + 1] : .undefined("there is no next item")
        case "cycle", "changed": return .function(.method(of: .loop(state), name))
        default: return nil
        }
    }

    static func call(_ value: JinjaValue, _ name: String, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> JinjaValue
    {
        switch value {
        case .string(let text):
            if name == "format" { return .string(try PythonFormat.braces(text, arguments)) }
            return try PythonStrings.call(text, name, arguments)
        case .dict(let dict): return try call(dict, name, arguments)
        case .list(let list), .tuple(let list): return try call(list, value, name, arguments)
        case .loop(let state):
            if name == "cycle" {
                if arguments.positional.isEmpty { throw JinjaFailure("no items for cycling given") }
                return arguments.positional[state.index % arguments.positional.count]
            }
            let same = state.lastChanged.map { last in
                last.count == arguments.positional.count
                    && zip(last, arguments.positional).allSatisfy { JinjaOperators.isEqual($0, $1) }
            }
            state.lastChanged = arguments.positional
            return .bool(same != true)
        default: throw JinjaFailure("'\(name)' can't be called")
        }
    }

    private static func call(_ dict: JinjaDict, _ name: String, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> JinjaValue
    {
        switch name {
        case "get":
            let bound = try arguments.bound(["key", "default"], of: "get")
            guard let key = bound[0] else { throw JinjaFailure("'get' needs a key") }
            return dict.get(key) ?? bound[1] ?? .none
        case "items":
            _ = try arguments.bound([], of: name)
            return .view(name: "dict_items", try JinjaList(dict.pairs))
        case "keys":
            _ = try arguments.bound([], of: name)
            return .view(name: "dict_keys", try JinjaList(dict.keys))
        case "values":
            _ = try arguments.bound([], of: name)
            return .view(name: "dict_values", try JinjaList(dict.values))
        case "copy": return .dict(dict)
        default: throw JinjaFailure("the method 'dict.\(name)' is not supported")
        }
    }

    private static func call(
        _ list: JinjaList, _ value: JinjaValue, _ name: String, _ arguments: JinjaCallArguments
    ) throws(JinjaFailure) -> JinjaValue {
        if name == "copy" { return value }
        guard let item = try arguments.bound(["value"], of: name)[0] else {
            throw JinjaFailure("'\(name)' needs a value")
        }
        if name == "count" {
            return .int(list.items.count { JinjaOperators.isEqual($0, item) })
        }
        guard let place = list.items.firstIndex(where: { JinjaOperators.isEqual($0, item) }) else {
            throw JinjaFailure("the value is not in the list")
        }
        return .int(place)
    }
}
