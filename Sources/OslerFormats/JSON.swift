/// A JSON value that keeps the order of its keys, as Python's `dict` does: chat templates print it
/// with `tojson`, and configuration files are written back as they were read.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object(Object)

    public subscript(key: String) -> JSON? { if case .object(let o) = self { o[key] } else { nil } }
    public var string: String? { if case .string(let s) = self { s } else { nil } }
    public var array: [JSON]? { if case .array(let a) = self { a } else { nil } }
    public var object: Object? { if case .object(let o) = self { o } else { nil } }
    public var bool: Bool? { if case .bool(let b) = self { b } else { nil } }
    public var isNull: Bool { if case .null = self { true } else { false } }
    /// A whole number, also when written as `2.0`.
    public var integer: Int? {
        switch self {
        case .integer(let i): i
        case .number(let d): Int(exactly: d)
        default: nil
        }
    }
    public var double: Double? {
        switch self {
        case .integer(let i): Double(i)
        case .number(let d): d
        default: nil
        }
    }
}

extension JSON {
    /// Keys in order of first appearance; a repeated key takes its last value, as in Python.
    public struct Object: Sendable {
        public private(set) var keys: [String] = []
        public private(set) var values: [JSON] = []
        /// Place of each key, made once a linear search would be slower than hashing.
        private var places: [String: Int] = [:]
        private static let largestSearched = 8

        public init() {}
        public init(_ pairs: [(String, JSON)]) { for (key, value) in pairs { self[key] = value } }

        public var count: Int { keys.count }
        public var isEmpty: Bool { keys.isEmpty }
        public var pairs: [(key: String, value: JSON)] {
            zip(keys, values).map { (key: $0, value: $1) }
        }

        public subscript(key: String) -> JSON? {
            get { place(of: key).map { values[$0] } }
            set {
                if let newValue { set(key, newValue) } else { remove(key) }
            }
        }

        private func place(of key: String) -> Int? {
            keys.count <= Self.largestSearched ? keys.firstIndex(of: key) : places[key]
        }

        private mutating func set(_ key: String, _ value: JSON) {
            if keys.count <= Self.largestSearched {
                if let place = keys.firstIndex(of: key) {
                    values[place] = value
                    return
                }
            } else if let place = places.updateValue(keys.count, forKey: key) {
                places[key] = place
                values[place] = value
                return
            }
            keys.append(key)
            values.append(value)
            if keys.count == Self.largestSearched + 1 { index() }
        }

        private mutating func remove(_ key: String) {
            guard let place = place(of: key) else { return }
            keys.remove(at: place)
            values.remove(at: place)
            if keys.count > Self.largestSearched { index() }
        }

        private mutating func index() {
            places.removeAll(keepingCapacity: true)
            for (place, key) in keys.enumerated() { places[key] = place }
        }
    }
}

extension JSON.Object: Equatable {
    /// Equal keys and values in any order, as Python compares dictionaries.
    public static func == (left: Self, right: Self) -> Bool {
        left.count == right.count
            && zip(left.keys, left.values).allSatisfy { right[$0] == $1 }
    }
}

extension JSON.Object: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(Object(elements)) }
}
