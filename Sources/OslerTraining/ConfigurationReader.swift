package import OslerFormats

/// Reads a configuration's keys one by one, remembers which ones it was asked for, and refuses the rest.
package struct ConfigurationReader {
    private let object: JSON.Object
    private let file: String?
    private let prefix: String
    /// Names that were asked for together.
    private var groups: [[String]] = []
    private var known: [String] { groups.flatMap { $0 } }
    private var knownInSections: [String] = []
    /// Every key that was asked for, aliases too; those of sections as `section.key`.
    package var acceptedKeys: [String] { known.map { prefix + $0 } + knownInSections }

    package init(_ object: JSON.Object, file: String?, prefix: String = "") {
        (self.object, self.file, self.prefix) = (object, file, prefix)
    }

    /// The value of the first of `names` that is there and not null; the others are aliases.
    ///
    /// - Throws: when two of them are there and differ.
    package mutating func value(_ names: String...) throws -> JSON? { try value(names) }

    private mutating func value(_ names: [String]) throws -> JSON? {
        groups.append(names)
        var found: (name: String, value: JSON)?
        for name in names {
            guard let value = object[name], !value.isNull else { continue }
            if let found, found.value != value {
                throw InputError(
                    "contradicts \(found.name)", file: file, field: prefix + name,
                    remedy: "leave one of the two out")
            }
            found = found ?? (name, value)
        }
        return found?.value
    }

    /// Whether one of `names` is there and null: Python's `None`, where that means something of its own.
    package func isNull(_ names: String...) -> Bool {
        names.contains { object[$0]?.isNull == true }
    }

    package mutating func string(_ names: String...) throws -> String? {
        guard let value = try value(names) else { return nil }
        guard let text = value.string else { throw wrong(names, value, "text") }
        return text
    }

    package mutating func bool(_ names: String...) throws -> Bool? {
        guard let value = try value(names) else { return nil }
        guard let bool = value.bool else { throw wrong(names, value, "true or false") }
        return bool
    }

    /// A whole number from `minimum` to `maximum`.
    package mutating func integer(
        _ names: String..., minimum: Int = 1, maximum: Int = Int(Int32.max)
    ) throws -> Int? {
        guard let value = try value(names) else { return nil }
        let range = minimum...maximum
        guard let integer = value.integer, range.contains(integer) else {
            throw wrong(names, value, "a whole number from \(minimum) to \(range.upperBound)")
        }
        return integer
    }

    /// A number from 0, below `limit`, also in float32. YAML reads `2e-5` as text: numbers in text count.
    package mutating func number(
        _ names: String..., below limit: Double = .infinity
    ) throws -> Double? {
        try number(names, "a number from 0", below: limit) { $0 >= 0 }
    }

    /// A number above 0 and below `limit`, also in float32.
    package mutating func positive(
        _ names: String..., below limit: Double = .infinity
    ) throws -> Double? {
        try number(names, "a number above 0", below: limit) { $0 > 0 }
    }

    private mutating func number(
        _ names: [String], _ expected: String, below limit: Double, _ isAllowed: (Float) -> Bool
    ) throws -> Double? {
        guard let value = try value(names) else { return nil }
        guard let number = value.double ?? value.string.flatMap({ Double($0) }), number >= 0,
            isAllowed(Float(number)), Float(number) < Float(limit)
        else {
            throw wrong(names, value, expected + (limit.isFinite ? " and below \(limit)" : ""))
        }
        return number
    }

    /// One of an enum's raw values.
    package mutating func choice<Choice>(
        _ names: String..., as type: Choice.Type
    ) throws -> Choice?
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        guard let value = try value(names) else { return nil }
        guard let choice = value.string.flatMap({ Choice(rawValue: $0) }) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw wrong(names, value, "one of \(known)")
        }
        return choice
    }

    /// A mapping of names that the user chooses.
    package mutating func mapping(_ name: String) throws -> JSON.Object? {
        guard let value = try value([name]) else { return nil }
        guard let mapping = value.object else { throw wrong([name], value, "a mapping") }
        return mapping
    }

    /// A mapping whose keys `read` asks for; nil when it is not there.
    package mutating func section<Result>(
        _ name: String, _ read: (inout ConfigurationReader) throws -> Result
    ) throws -> Result? {
        guard let section = try mapping(name) else { return nil }
        var reader = ConfigurationReader(section, file: file, prefix: prefix + name + ".")
        let result = try read(&reader)
        try reader.finish()
        knownInSections += reader.acceptedKeys
        return result
    }

    /// Keys that other tools need and that change nothing here. Returns those present.
    package mutating func ignored(_ names: [String]) -> [String] {
        groups += names.map { [$0] }
        return names.filter { object[$0] != nil }
    }

    /// Refuses keys that nothing asked for, with the nearest known one.
    package func finish() throws {
        let known = known
        for key in object.keys where !known.contains(key) {
            let nearest = known.min { editDistance($0, key) < editDistance($1, key) }
            let suggestion = nearest.flatMap { editDistance($0, key) <= 4 ? $0 : nil }
            throw error(
                key, "unknown key",
                remedy: suggestion.map { "did you mean \($0)?" }
                    ?? "keys are named as in TrainingArguments, SFTConfig, LoraConfig and recipes/")
        }
    }

    /// An error in the value of `name`, under the name that was given.
    package func error(_ name: String, _ problem: String, remedy: String? = nil) -> InputError {
        let given = groups.first { $0.contains(name) }?.first { object[$0] != nil }
        return InputError(problem, file: file, field: prefix + (given ?? name), remedy: remedy)
    }

    private func wrong(_ names: [String], _ value: JSON, _ expected: String) -> InputError {
        error(names[0], "\(value.serialized(ensureASCII: false)) is not \(expected)")
    }
}

/// Levenshtein's distance.
func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    var row = Array(0...b.count)
    for i in a.indices {
        var diagonal = row[0]
        row[0] = i + 1
        for j in b.indices {
            let substitution = diagonal + (a[i] == b[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substitution, diagonal + 1, row[j] + 1)
        }
    }
    return row[b.count]
}
