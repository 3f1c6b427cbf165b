internal import OslerFormats

/// Reads fields of a `config.json` or of GGUF metadata, with errors that name the file and the key.
///
/// A field that is there has the right kind and range, or the file is refused: a value that was ignored would change
/// what the model computes.
struct ModelConfigurationReader {
    private let json: JSON
    private let file: String
    /// Stands before a key in errors: the section that it is in.
    private let prefix: String

    init(_ json: JSON, file: String, prefix: String = "") {
        (self.json, self.file, self.prefix) = (json, file, prefix)
    }

    /// The value of a key; nil where it is missing or null.
    private func value(_ key: String) -> JSON? {
        json[key].flatMap { $0.isNull ? nil : $0 }
    }

    func string(_ key: String) throws -> String {
        try optionalString(key) ?? { throw missing(key) }()
    }

    func optionalString(_ key: String) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.string else { throw wrong(key, value, "text") }
        return text
    }

    func size(_ key: String) throws -> Int {
        try optionalSize(key) ?? { throw missing(key) }()
    }

    /// A positive whole number below 2^31: sizes multiply, and must not overflow.
    func optionalSize(_ key: String) throws -> Int? {
        guard let value = value(key) else { return nil }
        guard let size = value.integer, size > 0, size < 1 << 31 else {
            throw wrong(key, value, "a whole number from 1 to 2147483647")
        }
        return size
    }

    func number(_ key: String) throws -> Double {
        try optionalNumber(key) ?? { throw missing(key) }()
    }

    /// A number that is positive and finite in float32, in which it is used.
    func optionalNumber(_ key: String) throws -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.double, Float(number) > 0, Float(number).isFinite else {
            throw wrong(key, value, "a positive finite number")
        }
        return number
    }

    /// False where the key is missing.
    func flag(_ key: String) throws -> Bool {
        guard let value = value(key) else { return false }
        guard let flag = value.bool else { throw wrong(key, value, "true or false") }
        return flag
    }

    /// The fields of an object; nil where the key is missing.
    func section(_ key: String) throws -> ModelConfigurationReader? {
        guard let value = value(key) else { return nil }
        guard value.object != nil else { throw wrong(key, value, "an object") }
        return ModelConfigurationReader(value, file: file, prefix: prefix + key + ".")
    }

    /// `eos_token_id` is one id or a list.
    static func ids(_ value: JSON) -> [Int] {
        value.integer.map { [$0] } ?? value.array?.compactMap(\.integer) ?? []
    }

    func error(_ key: String, _ problem: String, remedy: String? = nil) -> InputError {
        InputError(
            problem, file: file, field: prefix + key,
            remedy: remedy ?? "the file is damaged or of another kind of model: fetch it again")
    }

    private func missing(_ key: String) -> InputError { error(key, "missing") }

    private func wrong(_ key: String, _ value: JSON, _ expected: String) -> InputError {
        let isNumber = value.double != nil
        return error(key, (isNumber ? value.serialized() + " is not " : "not ") + expected)
    }
}
