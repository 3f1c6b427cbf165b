package import OslerFormats

/// Reads a configuration's keys one by one, remembers which ones it was asked for, and refuses the rest.
package struct ConfigurationReader {
    private let object: JSON.Object
    private let file: String?
    private let prefix: String
    private var known: [String] = []

    package init(_ object: JSON.Object, file: String?, prefix: String = "") {
        (self.object, self.file, self.prefix) = (object, file, prefix)
    }

    /// The value of the first of `names` that is there and not null; the others are aliases.
    ///
    /// - Throws: when two of them are there and differ.
    package mutating func value(_ names: String...) throws -> JSON? { try value(names) }

    private mutating func value(_ names: [String]) throws -> JSON? {
        known += names
        var found: (name: String, value: JSON)?
        for name in names {
            guard let value = object[name], !value.isNull else { continue }
            if let found, found.value != value {
                throw error(
                    name, "contradicts \(found.name)", remedy: "leave one of the two out")
            }
            found = found ?? (name, value)
        }
        return found?.value
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

    /// A whole number of at least `minimum`.
    package mutating func integer(_ names: String..., minimum: Int = 1) throws -> Int? {
        guard let value = try value(names) else { return nil }
        guard let integer = value.integer, integer >= minimum, integer <= Int(Int32.max) else {
            throw wrong(names, value, "a whole number from \(minimum)")
        }
        return integer
    }

    /// A number of at least `minimum`. YAML reads `2e-5` as text: numbers in text count.
    package mutating func number(_ names: String..., minimum: Double = 0) throws -> Double? {
        guard let value = try value(names) else { return nil }
        guard let number = value.double ?? value.string.flatMap({ Double($0) }), number.isFinite,
            number >= minimum
        else { throw wrong(names, value, "a number from \(minimum)") }
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

    /// A mapping.
    package mutating func section(_ name: String) throws -> JSON.Object? {
        guard let value = try value([name]) else { return nil }
        guard let section = value.object else { throw wrong([name], value, "a mapping") }
        return section
    }

    /// Keys that other tools need and that change nothing here. Returns those present.
    package mutating func ignored(_ names: [String]) -> [String] {
        known += names
        return names.filter { object[$0] != nil }
    }

    /// Refuses keys that nothing asked for, with the nearest known one.
    package func finish() throws {
        for key in object.keys where !known.contains(key) {
            let nearest = known.min { editDistance($0, key) < editDistance($1, key) }
            let suggestion = nearest.flatMap { editDistance($0, key) <= 4 ? $0 : nil }
            throw error(
                key, "unknown key",
                remedy: suggestion.map { "did you mean \($0)?" }
                    ?? "osler train --help lists the keys")
        }
    }

    package func error(_ name: String, _ problem: String, remedy: String? = nil) -> InputError {
        InputError(problem, file: file, field: prefix + name, remedy: remedy)
    }

    private func wrong(_ names: [String], _ value: JSON, _ expected: String) -> InputError {
        let name = names.first { object[$0] != nil } ?? names[0]
        return error(name, "\(value.serialized(ensureASCII: false)) is not \(expected)")
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
