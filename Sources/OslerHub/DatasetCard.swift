package import OslerFormats

/// Which files of a data set's repository make up a configuration's split, by the YAML at the head of its README
/// (`configs:`), or, without one, by the names of the files.
package struct DatasetCard: Sendable {
    /// Splits to patterns, in order.
    private struct Configuration: Sendable {
        var name: String
        var splits: [(name: String, patterns: [String])]
        var isDefault: Bool
    }

    private let configurations: [Configuration]
    private let files: [String]
    private let name: String

    /// Endings of data files that Osler reads.
    package static let endings = [
        ".parquet", ".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz",
    ]

    /// The YAML between the two lines `---` at the head of a README; nil where there is none.
    package static func header(_ readme: String) -> String? {
        let lines = readme.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else {
            return nil
        }
        return lines[1..<end].joined(separator: "\n")
    }

    /// - Parameters:
    ///   - metadata: the header as JSON; `.null` where there is none.
    ///   - name: of the data set, for errors.
    package init(_ metadata: JSON, files: [String], name: String) throws {
        (self.files, self.name) = (files, name)
        configurations = try (metadata["configs"]?.array ?? []).map { entry in
            guard let title = entry["config_name"]?.string else {
                throw InputError(
                    "a configuration without config_name", file: name, field: "README.md: configs")
            }
            let folder = entry["data_dir"]?.string.map { $0 + "/" } ?? ""
            guard let data = entry["data_files"] else {
                let splits = Self.splits(of: files.filter { $0.hasPrefix(folder) })
                return Configuration(
                    name: title, splits: splits, isDefault: entry["default"]?.bool == true)
            }
            return Configuration(
                name: title,
                splits: try Self.splits(data, name, title).map { split in
                    (split.name, split.patterns.map { folder + $0 })
                },
                isDefault: entry["default"]?.bool == true)
        }
    }

    /// `data_files`: a pattern, some, or some for each split.
    private static func splits(
        _ json: JSON, _ name: String, _ configuration: String
    ) throws -> [(name: String, patterns: [String])] {
        func patterns(_ json: JSON?) throws -> [String] {
            if let text = json?.string { return [text] }
            if let list = json?.array, !list.isEmpty {
                let texts = list.compactMap(\.string)
                if texts.count == list.count { return texts }
            }
            throw InputError(
                "data_files of \"\(configuration)\" is no list of patterns", file: name,
                field: "README.md: configs")
        }
        if let list = json.array, list.contains(where: { $0.object != nil }) {
            return try list.map { entry in
                (name: entry["split"]?.string ?? "train", patterns: try patterns(entry["path"]))
            }
        }
        if let object = json.object {
            return try object.pairs.map { (name: $0.key, patterns: try patterns($0.value)) }
        }
        return [(name: "train", patterns: try patterns(json))]
    }

    /// Splits by file names, as `datasets` guesses them: a word such as `train` or `test` in the name or the folder;
    /// without any, everything is `train`.
    private static func splits(of files: [String]) -> [(name: String, patterns: [String])] {
        let words: [(split: String, words: Set<String>)] = [
            ("train", ["train", "training"]),
            ("validation", ["validation", "valid", "val", "dev"]),
            ("test", ["test", "testing", "eval", "evaluation"]),
        ]
        let data = files.filter { file in
            endings.contains { file.hasSuffix($0) }
                && !file.split(separator: "/").contains {
                    $0.hasPrefix(".") || $0.hasPrefix("_")
                }
        }
        func hasWord(_ file: String, _ words: Set<String>) -> Bool {
            file.lowercased().split { !$0.isLetter && !$0.isNumber }.contains {
                words.contains(String($0))
            }
        }
        let found = words.compactMap { split -> (name: String, patterns: [String])? in
            let names = data.filter { hasWord($0, split.words) }
            return names.isEmpty ? nil : (split.split, names.map(literal))
        }
        return found.isEmpty && !data.isEmpty ? [("train", data.map(literal))] : found
    }

    /// A pattern for this name alone.
    private static func literal(_ path: String) -> String {
        path.map { "*?[{".contains($0) ? "[\($0)]" : String($0) }.joined()
    }

    /// The data files of a split, sorted.
    ///
    /// - Throws: `InputError` that names the configurations or splits that there are.
    package func files(configuration: String?, split: String) throws -> [String] {
        let chosen = try splits(configuration)
        guard let patterns = chosen.first(where: { $0.name == split })?.patterns else {
            throw InputError(
                "has no split \"\(split)\"", file: name,
                remedy: "dataset_split can be " + Self.listed(chosen.map(\.name)))
        }
        var found: [String] = []
        for pattern in patterns {
            let glob = Glob(pattern.hasPrefix("./") ? String(pattern.dropFirst(2)) : pattern)
            found += files.filter { glob.matches($0) && !found.contains($0) }
        }
        guard !found.isEmpty else {
            throw InputError(
                "no file fits " + Self.listed(patterns), file: name, field: "README.md: configs")
        }
        if let other = found.first(where: { file in
            !Self.endings.contains { file.hasSuffix($0) }
        }) {
            throw InputError(
                "is in a format that is not read", file: name, field: other,
                remedy: "data files can be Parquet, JSON, JSONL or CSV, plain or gzipped")
        }
        return found
    }

    private func splits(_ wanted: String?) throws -> [(name: String, patterns: [String])] {
        guard !configurations.isEmpty else {
            if let wanted, wanted != "default" {
                throw InputError(
                    "has no configurations, so none \"\(wanted)\"", file: name,
                    remedy: "leave dataset_config_name out")
            }
            let splits = Self.splits(of: files)
            guard !splits.isEmpty else {
                throw InputError(
                    "has no data files that are read", file: name,
                    remedy: "data files can be Parquet, JSON, JSONL or CSV, plain or gzipped")
            }
            return splits
        }
        let names = configurations.map(\.name)
        if let wanted {
            guard let found = configurations.first(where: { $0.name == wanted }) else {
                throw InputError(
                    "has no configuration \"\(wanted)\"", file: name,
                    remedy: "dataset_config_name can be " + Self.listed(names))
            }
            return found.splits
        }
        let only = configurations.count == 1 ? configurations.first : nil
        guard
            let found = only ?? configurations.first(where: \.isDefault)
                ?? configurations.first(where: { $0.name == "default" })
        else {
            throw InputError(
                "has several configurations", file: name,
                remedy: "dataset_config_name can be " + Self.listed(names))
        }
        return found.splits
    }

    private static func listed(_ names: [String]) -> String {
        let shown = names.prefix(12).map { "\"\($0)\"" }.joined(separator: ", ")
        return names.count > 12 ? shown + ", ..." : shown
    }
}
