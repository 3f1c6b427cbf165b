internal import ArgumentParser
internal import OslerCompute
internal import OslerFormats
internal import OslerTraining
internal import Yams

/// A YAML file with `key=value` overrides from the command line.
struct ConfigurationArguments: ParsableArguments {
    @Argument(help: "The YAML configuration.")
    var file: String

    @Argument(
        help: ArgumentHelp(
            "Values that replace the file's: max_steps=10 split.seed=1", valueName: "key=value"))
    var overrides: [String] = []

    @Option(help: "Where to compute: auto (a GPU if one can be used), cpu, cuda or cuda:1.")
    var device: ComputeDevice?

    @Option(help: DeviceMap.help)
    var deviceMap: DeviceMap?

    @Option(help: "Use this many threads (default: one a core).")
    var threads: Int?

    /// Fetches what is not here, and reads it all but the weights.
    func open(_ configuration: SFTConfiguration, _ console: Console) throws -> TrainingJob {
        var configuration = configuration
        let files = HubFiles(console, localOnly: configuration.localFilesOnly)
        if let name = HubName(configuration.baseModel), name.file == nil, name.revision != nil {
            // The adapter names its base without the revision, as PEFT does.
            (configuration.baseModel, configuration.modelRevision) = (name.id, name.revision)
        }
        let inputs = try files.inputs(configuration)
        return try console.step("Reading \(configuration.dataset)") {
            try TrainingJob(configuration, inputs: inputs)
        }
    }

    /// The file's keys, and the values that replace them.
    func recipe() throws -> JSON.Object {
        var object = try ConfigurationFile.read(file)
        for override in overrides { try ConfigurationFile.apply(override, to: &object) }
        return object
    }

    func load() throws -> SFTConfiguration { try load(recipe()) }

    func load(_ recipe: JSON.Object) throws -> SFTConfiguration {
        var configuration = try SFTConfiguration(recipe, file: file)
        configuration.device = device ?? configuration.device
        configuration.deviceMap = deviceMap ?? configuration.deviceMap
        configuration.threads = threads ?? configuration.threads
        return configuration
    }
}

enum ConfigurationFile {
    /// - Throws: an `InputError` with line and column for malformed YAML.
    static func read(_ path: String) throws -> JSON.Object {
        let text = try FileSystem.readText(path)
        guard let node = try compose(text, file: path) else {
            throw InputError(
                "empty", file: path, remedy: "recipes/ has configurations to start from")
        }
        guard case .object(let object) = json(node) else {
            throw InputError("not a mapping of keys to values", file: path)
        }
        return object
    }

    /// Sets `key=value` or `section.key=value`.
    static func apply(_ override: String, to object: inout JSON.Object) throws {
        guard let equals = override.firstIndex(of: "=") else {
            throw ValidationError("'\(override)' is not key=value")
        }
        let path = override[..<equals].split(separator: ".").map(String.init)
        let text = String(override[override.index(after: equals)...])
        guard let key = path.first, path.count <= 2 else {
            throw ValidationError("'\(override)' is not key=value")
        }
        let value = try compose(text, file: "key=value \(override)").map(json) ?? .null
        if path.count == 2 {
            var section = object[key]?.object ?? JSON.Object()
            section[path[1]] = value
            object[key] = .object(section)
        } else {
            object[key] = value
        }
    }

    /// YAML from anywhere; `file` is for errors.
    static func parse(_ text: String, file: String) throws -> JSON {
        try compose(text, file: file).map(json) ?? .null
    }

    private static func compose(_ text: String, file: String) throws -> Node? {
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw InputError(problem(error), file: file, field: place(error))
        }
    }

    private static func place(_ error: YamlError) -> String? {
        switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _):
            "line \(mark.line), column \(mark.column)"
        case .duplicatedKeysInMapping(let keys, _): "keys \(keys)"
        default: nil
        }
    }

    private static func problem(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, _, _), .parser(_, let problem, _, _),
            .composer(_, let problem, _, _):
            "malformed YAML, " + problem
        case .duplicatedKeysInMapping: "the same key twice"
        default: "malformed YAML"
        }
    }

    /// YAML's core types; keys keep their order.
    private static func json(_ node: Node) -> JSON {
        switch node {
        case .mapping(let mapping):
            return .object(.init(mapping.map { ($0.key.string ?? "", json($0.value)) }))
        case .sequence(let sequence): return .array(sequence.map(json))
        case .scalar(let scalar):
            guard scalar.style == .plain || scalar.style == .any else {
                return .string(scalar.string)
            }
            if node.null != nil { return .null }
            if let bool = node.bool { return .bool(bool) }
            if let integer = node.int { return .integer(integer) }
            if let number = node.float { return .number(number) }
            return .string(scalar.string)
        case .alias: return .null
        }
    }
}
