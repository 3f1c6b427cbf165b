/// A JSON value that keeps the order of its keys, as Python's `dict` does: chat templates print it with `tojson`, and
/// configuration files are written back as they were read.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object(Object)

    /// Keys in order of first appearance; a repeated key takes its last value.
    public struct Object: Sendable, Equatable {
        public private(set) var keys: [String] = []
        private var values: [String: JSON] = [:]

        public init() {}
        public init(_ pairs: [(String, JSON)]) { for (key, value) in pairs { self[key] = value } }

        public var count: Int { keys.count }
        public subscript(key: String) -> JSON? {
            get { values[key] }
            set {
                if let newValue {
                    if values.updateValue(newValue, forKey: key) == nil { keys.append(key) }
                } else if values.removeValue(forKey: key) != nil {
                    keys.removeAll { $0 == key }
                }
            }
        }
        public var pairs: [(key: String, value: JSON)] { keys.map { ($0, values[$0]!) } }
    }

    public subscript(key: String) -> JSON? { if case .object(let o) = self { o[key] } else { nil } }
    public var string: String? { if case .string(let s) = self { s } else { nil } }
    public var array: [JSON]? { if case .array(let a) = self { a } else { nil } }
    public var object: Object? { if case .object(let o) = self { o } else { nil } }
    public var bool: Bool? { if case .bool(let b) = self { b } else { nil } }
    public var isNull: Bool { self == .null }
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
