package import OslerFormats

extension DataCare {
    /// For people, line by line; at most so many places of each kind.
    func lines(most: Int = 5) -> [String] {
        var lines: [String] = []
        for split in splits {
            lines.append("care: \(split.name)")
            let counts = HealthIdentifier.allCases.compactMap { kind in
                split.identifiers[kind].map { "\($0.count) \(kind.title)" }
            }
            lines.append(
                "  may identify a person: "
                    + (counts.isEmpty ? "nothing found" : counts.joined(separator: ", ")))
            for kind in HealthIdentifier.allCases {
                guard let places = split.identifiers[kind] else { continue }
                let listed = places.prefix(most).map {
                    "row \($0.row) (\($0.part), \($0.character))"
                }
                lines.append(
                    "    \(kind.title): " + listed.joined(separator: ", ")
                        + more(places.count, most))
            }
            let languages = split.languages.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
            if !languages.isEmpty {
                lines.append(
                    "  language: "
                        + languages.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
            }
            for kind in Flaw.Kind.allCases {
                let flaws = split.flaws.filter { $0.kind == kind }
                guard !flaws.isEmpty else { continue }
                let listed = flaws.prefix(most).map { "row \($0.row): \($0.text)" }
                lines.append("  \(kind.title): \(flaws.count)")
                lines += listed.map { "    " + $0 }
                if flaws.count > most { lines.append("    ...") }
            }
            let pairs = nearDuplicates.filter { $0.split == split.name }
            if !pairs.isEmpty {
                lines.append("  nearly the same question as an earlier row: \(pairs.count)")
                lines += pairs.prefix(most).map { pair in
                    let other = pair.otherSplit == pair.split ? "" : " of \(pair.otherSplit)"
                    return "    row \(pair.row): row \(pair.otherRow)\(other), "
                        + "\(Int((pair.similarity * 100).rounded()))% the same"
                }
                if pairs.count > most { lines.append("    ...") }
            }
            lines.append("")
        }
        return lines
    }

    private func more(_ count: Int, _ most: Int) -> String { count > most ? ", ..." : "" }

    /// For programs: all of it.
    var json: JSON {
        let list = splits.map { split -> JSON in
            let identifiers = HealthIdentifier.allCases.compactMap { kind in
                split.identifiers[kind].map { (kind.rawValue, JSON.array($0.map(\.json))) }
            }
            let languages = split.languages.sorted { $0.key < $1.key }
            return .object(
                JSON.Object([
                    ("name", .string(split.name)),
                    ("identifiers", .object(JSON.Object(identifiers))),
                    (
                        "languages",
                        .object(JSON.Object(languages.map { ($0.key, .integer($0.value)) }))
                    ),
                    ("flaws", .array(split.flaws.map(\.json))),
                ]))
        }
        return .object(
            JSON.Object([
                ("splits", .array(list)), ("near_duplicates", .array(nearDuplicates.map(\.json))),
            ]))
    }

    /// - Throws: when anything was found that may identify a person.
    package func checkIdentifiers() throws {
        guard identifierCount > 0 else { return }
        let found = splits.flatMap { split in
            HealthIdentifier.allCases.compactMap { kind in
                split.identifiers[kind].map { "\(split.name) has \($0.count) \(kind.title)" }
            }
        }
        throw InputError(
            "what may identify a person stands in the data: " + found.joined(separator: ", "),
            file: splits.first?.file, field: "--fail-on-phi",
            remedy: "remove or replace it; osler preflight --json names every place")
    }
}

extension HealthIdentifier {
    fileprivate var title: String {
        switch self {
        case .date: "dates"
        case .phone: "phone numbers"
        case .email: "e-mail addresses"
        case .recordNumber: "record numbers"
        case .address: "addresses"
        case .name: "names"
        }
    }
}

extension DataCare.Flaw.Kind {
    fileprivate var title: String {
        switch self {
        case .emptyReasoning: "rows without reasoning"
        case .emptyResponse: "rows without an answer"
        case .otherLanguage: "rows in another language"
        case .contradictsOptions: "rows that contradict their options"
        }
    }
}

extension DataCare.Place {
    fileprivate var json: JSON {
        .object(
            JSON.Object([
                ("row", .integer(row)), ("part", .string(part)), ("character", .integer(character)),
            ]))
    }
}

extension DataCare.Flaw {
    fileprivate var json: JSON {
        .object(
            JSON.Object([
                ("kind", .string(kind.rawValue)), ("row", .integer(row)),
                ("problem", .string(text)),
            ]))
    }
}

extension NearDuplicates.Pair {
    fileprivate var json: JSON {
        .object(
            JSON.Object([
                ("split", .string(split)), ("row", .integer(row)),
                ("other_split", .string(otherSplit)), ("other_row", .integer(otherRow)),
                ("similarity", .number(similarity)),
            ]))
    }
}
