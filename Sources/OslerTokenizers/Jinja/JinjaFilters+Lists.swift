extension JinjaFilters {
    static func list(
        _ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments,
        _ interpreter: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        func bound(_ names: String...) throws(JinjaFailure) -> [JinjaValue?] {
            try arguments.bound(names, of: name)
        }
        if name == "items" || name == "dictsort" { return try pairs(name, value, arguments) }
        if name == "reverse", case .string(let text) = value {
            return .string(PythonStrings.string(text.unicodeScalars.reversed()))
        }
        let items = try JinjaOperators.items(of: value)
        try interpreter.charge(items.count)
        switch name {
        case "list":
            _ = try bound()
            return try .list(items)
        case "first":
            _ = try bound()
            return items.first ?? .undefined("No first item, sequence was empty.")
        case "last":
            if case .view("generator", _) = value {
                throw JinjaFailure("a generator has no last item; add '| list'")
            }
            return items.last ?? .undefined("No last item, sequence was empty.")
        case "reverse": return try .generator(items.reversed())
        case "join":
            let values = try bound("d", "attribute")
            return .string(try joined(items, values[0], values[1]))
        case "map": return try map(items, arguments, interpreter)
        case "select", "reject", "selectattr", "rejectattr":
            return try selected(name, items, arguments, interpreter)
        case "sort":
            let values = try bound("reverse", "case_sensitive", "attribute")
            let sorted = try sorted(
                items, key: key(values[1], values[2]), reverse: values[0]?.truth ?? false)
            return try .list(sorted)
        case "unique":
            let values = try bound("case_sensitive", "attribute")
            return try unique(items, key(values[0], values[1]))
        case "min", "max":
            let values = try bound("case_sensitive", "attribute")
            return try extreme(items, key(values[0], values[1]), largest: name == "max")
        case "sum":
            let values = try bound("attribute", "start")
            let path = try path(values[0])
            var total = values[1] ?? .int(0)
            for item in items {
                total = try JinjaOperators.arithmetic(total, "+", attribute(item, path))
                try interpreter.charge(text: total)
            }
            return total
        case "batch": return try batches(items, bound("linecount", "fill_with"))
        default: return try slices(items, bound("slices", "fill_with"))
        }
    }

    // MARK: Attributes

    /// A dotted path; numbers in it are indices.
    private static func path(_ value: JinjaValue?) throws(JinjaFailure) -> [JinjaValue] {
        switch value {
        case nil, .some(.none): return []
        case .some(.string(let text)):
            return text.split(separator: ".", omittingEmptySubsequences: false).map { part in
                Int(part).map { .int($0) } ?? .string(String(part))
            }
        case .some(let value):
            guard let index = value.asInt else { throw JinjaFailure("'attribute' must be a name") }
            return [.int(index)]
        }
    }

    private static func attribute(_ item: JinjaValue, _ path: [JinjaValue]) throws(JinjaFailure)
        -> JinjaValue
    {
        var item = item
        for part in path { item = try JinjaOperators.item(item, part) }
        return item
    }

    /// What `sort` and its kin compare: attributes, in lower case unless asked otherwise.
    private struct Key {
        var paths: [[JinjaValue]]
        var isCaseSensitive: Bool

        func callAsFunction(_ item: JinjaValue) throws(JinjaFailure) -> JinjaValue {
            var keys: [JinjaValue] = []
            for path in paths {
                let value = try JinjaFilters.attribute(item, path)
                if !isCaseSensitive, case .string(let text) = value {
                    keys.append(.string(text.lowercased()))
                } else {
                    keys.append(value)
                }
            }
            return keys.count == 1 ? keys[0] : try .list(keys)
        }
    }

    private static func key(_ caseSensitive: JinjaValue?, _ attribute: JinjaValue?)
        throws(JinjaFailure) -> Key
    {
        var paths: [[JinjaValue]] = []
        if case .some(.string(let text)) = attribute {
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                paths.append(try path(.string(String(part))))
            }
        } else {
            paths.append(try path(attribute))
        }
        return Key(paths: paths, isCaseSensitive: caseSensitive?.truth ?? false)
    }

    // MARK: Filters

    private static func pairs(_ name: String, _ value: JinjaValue, _ arguments: JinjaCallArguments)
        throws(JinjaFailure) -> JinjaValue
    {
        guard case .dict(let dict) = value else {
            if name == "items", value.isUndefined { return try .generator([]) }
            throw JinjaFailure("'\(name)' needs a mapping, not \(value.typeName)")
        }
        if name == "items" {
            _ = try arguments.bound([], of: name)
            return try .generator(dict.pairs)
        }
        let values = try arguments.bound(["case_sensitive", "by", "reverse"], of: name)
        let by = try PythonStrings.string(values[1], "by", none: "key")
        guard by == "key" || by == "value" else { throw JinjaFailure("'by' must be key or value") }
        let key = Key(
            paths: [[.int(by == "key" ? 0 : 1)]], isCaseSensitive: values[0]?.truth ?? false)
        return try .list(sorted(dict.pairs, key: key, reverse: values[2]?.truth ?? false))
    }

    private static func joined(
        _ items: [JinjaValue], _ separator: JinjaValue?, _ attribute: JinjaValue?
    )
        throws(JinjaFailure) -> String
    {
        let path = try path(attribute)
        var texts: [JinjaValue] = []
        for item in items {
            texts.append(.string(try PythonText.string(self.attribute(item, path))))
        }
        return try PythonStrings.joined(
            texts,
            separator.map { (value) throws(JinjaFailure) in try PythonText.string(value) } ?? "")
    }

    private static func map(
        _ items: [JinjaValue], _ arguments: JinjaCallArguments, _ interpreter: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        var result: [JinjaValue] = []
        if arguments.positional.isEmpty {
            let values = try arguments.bound(["attribute", "default"], of: "map")
            guard values[0] != nil else {
                throw JinjaFailure("'map' needs a filter or an attribute")
            }
            let path = try path(values[0])
            for item in items {
                var item = item
                for part in path {
                    item = try JinjaOperators.item(item, part)
                    if item.isUndefined, let fallback = values[1] { item = fallback }
                }
                result.append(item)
            }
        } else {
            var rest = arguments
            let name = try PythonStrings.string(rest.positional.removeFirst(), "filter")
            for item in items { result.append(try interpreter.filter(name, item, rest)) }
        }
        return try .generator(result)
    }

    private static func selected(
        _ name: String, _ items: [JinjaValue], _ arguments: JinjaCallArguments,
        _ interpreter: JinjaInterpreter
    ) throws(JinjaFailure) -> JinjaValue {
        var rest = arguments
        var path: [JinjaValue] = []
        if name.hasSuffix("attr") {
            guard !rest.positional.isEmpty else {
                throw JinjaFailure("'\(name)' needs an attribute")
            }
            path = try self.path(rest.positional.removeFirst())
        }
        let test =
            rest.positional.isEmpty
            ? nil : try PythonStrings.string(rest.positional.removeFirst(), "test")
        let wanted = name.hasPrefix("select")
        var result: [JinjaValue] = []
        for item in items {
            let value = try attribute(item, path)
            let holds =
                try test.map { (test) throws(JinjaFailure) in
                    try interpreter.test(test, value, rest)
                } ?? value.truth
            if holds == wanted { result.append(item) }
        }
        return try .generator(result)
    }

    private static func sorted(_ items: [JinjaValue], key: Key, reverse: Bool) throws(JinjaFailure)
        -> [JinjaValue]
    {
        var keyed: [(key: JinjaValue, item: JinjaValue)] = []
        for item in items { keyed.append((try key(item), item)) }
        // Reversed twice, so that equal items keep their order, as with Python's reverse=True.
        if reverse { keyed.reverse() }
        try JinjaOperators.sort(&keyed) { (a, b) throws(JinjaFailure) in
            try JinjaOperators.isLess(a.key, b.key)
        }
        if reverse { keyed.reverse() }
        return keyed.map(\.item)
    }

    private static func unique(_ items: [JinjaValue], _ key: Key) throws(JinjaFailure) -> JinjaValue
    {
        var seen: Set<JinjaKey> = []
        var result: [JinjaValue] = []
        for item in items {
            let value = try key(item)
            guard let hashed = JinjaKey(value) else {
                throw JinjaFailure("'unique' can't compare a \(value.typeName)")
            }
            if seen.insert(hashed).inserted { result.append(item) }
        }
        return try .generator(result)
    }

    private static func extreme(_ items: [JinjaValue], _ key: Key, largest: Bool)
        throws(JinjaFailure) -> JinjaValue
    {
        guard var best = items.first else {
            return .undefined("No aggregated item, sequence was empty.")
        }
        for item in items.dropFirst() {
            let (a, b) = try largest ? (key(best), key(item)) : (key(item), key(best))
            if try JinjaOperators.isLess(a, b) { best = item }
        }
        return best
    }

    private static func batches(_ items: [JinjaValue], _ values: [JinjaValue?]) throws(JinjaFailure)
        -> JinjaValue
    {
        let size = try PythonStrings.int(values[0], "linecount", nil)
        guard size > 0 else { throw JinjaFailure("'linecount' must be positive") }
        var result: [JinjaValue] = []
        for start in stride(from: 0, to: items.count, by: size) {
            var batch = Array(items[start..<min(start + min(size, items.count), items.count)])
            if let fill = values[1], !isNone(fill) {
                try JinjaOperators.checkCount(size)
                batch += Array(repeating: fill, count: size - batch.count)
            }
            result.append(try .list(batch))
        }
        return try .generator(result)
    }

    private static func slices(_ items: [JinjaValue], _ values: [JinjaValue?]) throws(JinjaFailure)
        -> JinjaValue
    {
        let count = try PythonStrings.int(values[0], "slices", nil)
        guard count > 0 else { throw JinjaFailure("'slices' must be positive") }
        try JinjaOperators.checkCount(count)
        let (size, extra) = items.count.quotientAndRemainder(dividingBy: count)
        var result: [JinjaValue] = []
        var start = 0
        for i in 0..<count {
            let end = start + size + (i < extra ? 1 : 0)
            var slice = Array(items[start..<end])
            if let fill = values[1], !isNone(fill), i >= extra { slice.append(fill) }
            result.append(try .list(slice))
            start = end
        }
        return try .generator(result)
    }

    private static func isNone(_ value: JinjaValue) -> Bool {
        if case .none = value { true } else { false }
    }
}
