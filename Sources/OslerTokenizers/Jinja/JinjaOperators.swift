/// Python's operators on template values.
enum JinjaOperators {
    // MARK: Equality and order

    static func isEqual(_ a: JinjaValue, _ b: JinjaValue) -> Bool {
        switch (a, b) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let a), .string(let b)): return a.isSameText(as: b)
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            return a.items.count == b.items.count
                && zip(a.items, b.items).allSatisfy { isEqual($0, $1) }
        case (.dict(let a), .dict(let b)):
            guard a.count == b.count else { return false }
            return zip(a.keys, a.values).allSatisfy { key, value in
                b.get(key).map { isEqual(value, $0) } ?? false
            }
        case (.namespace(let a), .namespace(let b)): return a === b
        default:
            if let a = a.asInt, let b = b.asInt { return a == b }
            guard let a = a.asDouble, let b = b.asDouble else { return false }
            return a == b
        }
    }

    static func isLess(_ a: JinjaValue, _ b: JinjaValue) throws(JinjaFailure) -> Bool {
        try order(a, b, "<") ?? 0 < 0
    }

    /// Negative, zero or positive; nil when a NaN is compared.
    static func order(_ a: JinjaValue, _ b: JinjaValue, _ operation: String) throws(JinjaFailure)
        -> Int?
    {
        switch (a, b) {
        case (.undefined(let problem), _), (_, .undefined(let problem)): throw JinjaFailure(problem)
        case (.string(let a), .string(let b)):
            if a.isSameText(as: b) { return 0 }
            return a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (x, y) in zip(a.items, b.items) where !isEqual(x, y) {
                return try order(x, y, operation)
            }
            return a.items.count - b.items.count
        default:
            if let a = a.asInt, let b = b.asInt { return a < b ? -1 : a == b ? 0 : 1 }
            if let a = a.asDouble, let b = b.asDouble {
                return a < b ? -1 : a == b ? 0 : a > b ? 1 : nil
            }
            throw JinjaFailure(
                "'\(operation)' can't compare \(a.typeName) and \(b.typeName)")
        }
    }

    static func compare(_ a: JinjaValue, _ operation: String, _ b: JinjaValue) throws(JinjaFailure)
        -> Bool
    {
        switch operation {
        case "==": return isEqual(a, b)
        case "!=": return !isEqual(a, b)
        case "in": return try contains(b, a)
        case "not in": return try !contains(b, a)
        default: break
        }
        guard let order = try order(a, b, operation) else { return false }
        switch operation {
        case "<": return order < 0
        case "<=": return order <= 0
        case ">": return order > 0
        default: return order >= 0
        }
    }

    /// `item in container`.
    static func contains(_ container: JinjaValue, _ item: JinjaValue) throws(JinjaFailure) -> Bool {
        switch container {
        case .string(let text):
            guard case .string(let part) = item else {
                if case .undefined(let problem) = item { throw JinjaFailure(problem) }
                throw JinjaFailure("'in' looks for a str in a str, not for a \(item.typeName)")
            }
            return PythonStrings.contains(text, part)
        case .dict(let dict): return dict.get(item) != nil
        case .undefined: return false
        default: return try items(of: container).contains { isEqual($0, item) }
        }
    }

    /// What a loop runs over.
    static func items(of value: JinjaValue) throws(JinjaFailure) -> [JinjaValue] {
        switch value {
        case .undefined: return []
        case .list(let list), .tuple(let list), .view(_, let list): return list.items
        case .dict(let dict): return dict.keys
        case .string(let text): return text.unicodeScalars.map { .string(String($0)) }
        default: throw JinjaFailure("a \(value.typeName) can't be iterated over")
        }
    }

    /// Stable, as Python's.
    static func sort<T>(_ items: inout [T], _ isLess: (T, T) throws(JinjaFailure) -> Bool)
        throws(JinjaFailure)
    {
        guard items.count > 1 else { return }
        var left = Array(items[..<(items.count / 2)])
        var right = Array(items[(items.count / 2)...])
        try sort(&left, isLess)
        try sort(&right, isLess)
        var (i, j) = (0, 0)
        for k in items.indices {
            if i == left.count {
                items[k] = right[j]
                j += 1
            } else if j < right.count, try isLess(right[j], left[i]) {
                items[k] = right[j]
                j += 1
            } else {
                items[k] = left[i]
                i += 1
            }
        }
    }

    // MARK: Arithmetic

    static func arithmetic(_ a: JinjaValue, _ operation: String, _ b: JinjaValue)
        throws(JinjaFailure) -> JinjaValue
    {
        if case .undefined(let problem) = a { throw JinjaFailure(problem) }
        if operation == "%", case .string(let format) = a {
            return .string(try PythonFormat.percent(format, b))
        }
        if case .undefined(let problem) = b { throw JinjaFailure(problem) }
        if let a = a.asInt, let b = b.asInt { return try integers(a, operation, b) }
        if let a = a.asDouble, let b = b.asDouble { return try floats(a, operation, b) }
        switch (operation, a, b) {
        case ("+", .string(let a), .string(let b)):
            try checkLength(a.utf8.count + b.utf8.count)
            return .string(a + b)
        case ("+", .list(let a), .list(let b)):
            try checkCount(a.items.count + b.items.count)
            return try .list(a.items + b.items)
        case ("+", .tuple(let a), .tuple(let b)):
            try checkCount(a.items.count + b.items.count)
            return .tuple(try JinjaList(a.items + b.items))
        case ("*", _, _):
            if let count = b.asInt { return try repeated(a, count, b) }
            if let count = a.asInt { return try repeated(b, count, a) }
        default: break
        }
        throw unsupported(a, operation, b)
    }

    private static func unsupported(_ a: JinjaValue, _ operation: String, _ b: JinjaValue)
        -> JinjaFailure
    {
        JinjaFailure("'\(operation)' can't combine \(a.typeName) and \(b.typeName)")
    }

    private static func repeated(_ value: JinjaValue, _ count: Int, _ other: JinjaValue)
        throws(JinjaFailure) -> JinjaValue
    {
        let count = max(0, count)
        switch value {
        case .string(let text):
            let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: count)
            try checkLength(overflow ? .max : bytes)
            return .string(bytes == 0 ? "" : String(repeating: text, count: count))
        case .list(let list), .tuple(let list):
            let (total, overflow) = list.items.count.multipliedReportingOverflow(by: count)
            try checkCount(overflow ? .max : total)
            var items: [JinjaValue] = []
            if total > 0 { for _ in 0..<count { items += list.items } }
            if case .list = value { return try .list(items) }
            return .tuple(try JinjaList(items))
        default: throw unsupported(value, "*", other)
        }
    }

    static func checkLength(_ bytes: Int) throws(JinjaFailure) {
        if bytes > JinjaLimits.stringBytes {
            throw JinjaFailure("the text is longer than \(JinjaLimits.stringBytes >> 20) MiB")
        }
    }

    static func checkCount(_ count: Int) throws(JinjaFailure) {
        if count > JinjaLimits.listCount {
            throw JinjaFailure("the list has more than \(JinjaLimits.listCount) items")
        }
    }

    private static func integers(_ a: Int, _ operation: String, _ b: Int) throws(JinjaFailure)
        -> JinjaValue
    {
        let result: (partialValue: Int, overflow: Bool)
        switch operation {
        case "+": result = a.addingReportingOverflow(b)
        case "-": result = a.subtractingReportingOverflow(b)
        case "*": result = a.multipliedReportingOverflow(by: b)
        case "/":
            if b == 0 { throw JinjaFailure("division by zero") }
            return .float(Double(a) / Double(b))
        case "//", "%":
            if b == 0 { throw JinjaFailure("division by zero") }
            if b == -1 {
                if operation == "%" { return .int(0) }
                result = Int(0).subtractingReportingOverflow(a)
                break
            }
            let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
            let wrong = remainder != 0 && (remainder < 0) != (b < 0)
            return .int(
                operation == "//"
                    ? (wrong ? quotient - 1 : quotient) : (wrong ? remainder + b : remainder))
        default:
            if b < 0 { return try floats(Double(a), operation, Double(b)) }
            result = power(a, b)
        }
        if result.overflow { throw JinjaFailure("the result of '\(operation)' is too large") }
        return .int(result.partialValue)
    }

    private static func power(_ a: Int, _ b: Int) -> (partialValue: Int, overflow: Bool) {
        if a == 0 || a == 1 { return (b == 0 ? 1 : a, false) }
        if a == -1 { return (b % 2 == 0 ? 1 : -1, false) }
        if b > 63 { return (0, true) }
        var value = 1
        for _ in 0..<b {
            let (next, overflow) = value.multipliedReportingOverflow(by: a)
            if overflow { return (0, true) }
            value = next
        }
        return (value, false)
    }

    private static func floats(_ a: Double, _ operation: String, _ b: Double) throws(JinjaFailure)
        -> JinjaValue
    {
        switch operation {
        case "+": return .float(a + b)
        case "-": return .float(a - b)
        case "*": return .float(a * b)
        case "**": return .float(PythonText.power(a, b))
        default: break
        }
        if b == 0 { throw JinjaFailure("division by zero") }
        if operation == "/" { return .float(a / b) }
        var remainder = a.truncatingRemainder(dividingBy: b)
        if remainder != 0, (remainder < 0) != (b < 0) { remainder += b }
        return .float(operation == "%" ? remainder : ((a - remainder) / b).rounded())
    }

    // MARK: Parts

    /// `value[start:stop:step]`.
    static func slice(_ value: JinjaValue, _ bounds: [JinjaValue?]) throws(JinjaFailure)
        -> JinjaValue
    {
        var numbers: [Int?] = []
        for bound in bounds {
            switch bound {
            case nil, .some(.none): numbers.append(nil)
            case .some(let value):
                guard let number = value.asInt else {
                    throw JinjaFailure("a slice needs whole numbers, not \(value.typeName)")
                }
                numbers.append(number)
            }
        }
        let step = numbers[2] ?? 1
        if step == 0 { throw JinjaFailure("a slice's step can't be zero") }
        switch value {
        case .list(let list): return try .list(pick(list.items, numbers, step))
        case .tuple(let list): return .tuple(try JinjaList(pick(list.items, numbers, step)))
        case .string(let text):
            var view = String.UnicodeScalarView()
            view.append(contentsOf: pick(Array(text.unicodeScalars), numbers, step))
            return .string(String(view))
        case .undefined(let problem): throw JinjaFailure(problem)
        default: return .undefined("a \(value.typeName) can't be sliced")
        }
    }

    private static func pick<T>(_ items: [T], _ bounds: [Int?], _ step: Int) -> [T] {
        let count = items.count
        func place(_ bound: Int?, _ fallback: Int) -> Int {
            guard let bound else { return fallback }
            let absolute = bound < 0 ? (bound < -count ? -1 : bound + count) : bound
            if step > 0 { return min(max(absolute, 0), count) }
            return min(max(absolute, -1), count - 1)
        }
        let start = place(bounds[0], step > 0 ? 0 : count - 1)
        let stop = place(bounds[1], step > 0 ? count : -1)
        if step == 1 { return start < stop ? Array(items[start..<stop]) : [] }
        let clipped = min(max(step, -count - 1), count + 1)
        return stride(from: start, to: stop, by: clipped).map { items[$0] }
    }

    /// `value[key]`.
    static func item(_ value: JinjaValue, _ key: JinjaValue) throws(JinjaFailure) -> JinjaValue {
        switch value {
        case .undefined(let problem): throw JinjaFailure(problem)
        case .dict(let dict): if let found = dict.get(key) { return found }
        case .list(let list), .tuple(let list):
            if let place = index(key, list.items.count) { return list.items[place] }
        case .string(let text):
            if key.asInt != nil {
                let scalars = Array(text.unicodeScalars)
                if let place = index(key, scalars.count) { return .string(String(scalars[place])) }
            }
        default: break
        }
        if case .string(let name) = key {
            return try JinjaMethods.attribute(value, name, found: false)
        }
        return .undefined("\(object(value)) has no element \(try PythonText.representation(key))")
    }

    private static func index(_ key: JinjaValue, _ count: Int) -> Int? {
        guard let number = key.asInt else { return nil }
        let place = number < 0 ? number + count : number
        return (0..<count).contains(place) ? place : nil
    }

    static func object(_ value: JinjaValue) -> String {
        if case .none = value { return "None" }
        return value.typeName + " object"
    }
}

extension String {
    /// The same code points; Swift's `==` also takes canonically equivalent texts for equal,
    /// Python's doesn't.
    func isSameText(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
