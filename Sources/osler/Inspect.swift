internal import ArgumentParser
internal import OslerFormats
internal import OslerModels

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what is in a model, an adapter, or a weights file.",
        discussion: """
            Tensors with types, shapes, parameters and bytes. PATH is a model folder, an adapter folder, a \
            .safetensors or a .gguf file.

            osler inspect MODEL
            osler inspect ADAPTER --json
            """)

    @Argument(help: "What to look at.")
    var path: String

    @Flag(help: "Print {\"kind\", \"parameters\", \"bytes\", \"description\", \"tensors\"}.")
    var json = false

    func run() throws {
        let inspection = try Inspection(HubFiles(Console(quiet: false)).path(path))
        try Output.run { try $0.line(json ? inspection.json.serialized() : inspection.text) }
    }
}

/// What a file or folder with weights holds.
struct Inspection {
    enum Kind: String { case model, adapter, safetensors, gguf }

    struct Tensor {
        var name: String
        /// As the file names it; `NF4` for weights quantized by bitsandbytes.
        var type: String
        var shape: [Int]
        var bytes: Int
        var parameters: Int { shape.reduce(1, *) }
    }

    let path: String
    let kind: Kind
    let tensors: [Tensor]
    /// What the configuration says, in short.
    let description: JSON.Object

    init(_ path: String) throws {
        self.path = path
        let weights = FileSystem.join(path, Adapter.weightsFile)
        if FileSystem.isDirectory(path) {
            if FileSystem.exists(FileSystem.join(path, "config.json")) {
                let files = try ModelFiles(path)
                kind = .model
                tensors = try Self.tensors(WeightStore(path))
                description = Self.description(files.configuration)
            } else if FileSystem.exists(FileSystem.join(path, Adapter.configurationFile)) {
                kind = .adapter
                tensors = try Self.tensors(WeightStore(weights))
                description = try Self.adapter(FileSystem.join(path, Adapter.configurationFile))
            } else {
                throw InputError(
                    "neither config.json nor \(Adapter.configurationFile) here", file: path,
                    remedy: "name a model folder, an adapter folder, a .safetensors or a .gguf file"
                )
            }
        } else if FileSystem.exists(path), GGUFFile.isGGUF(path) {
            kind = .gguf
            let file = try GGUFFile(path)
            tensors = file.tensors.map {
                Tensor(
                    name: $0.name, type: $0.type.name, shape: $0.shape, bytes: $0.byteRange.count)
            }
            description = Self.short(file.metadata)
        } else {
            kind = .safetensors
            let store = try WeightStore(path)
            tensors = try Self.tensors(store)
            description = .init(
                store.metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
        }
    }

    var parameters: Int { tensors.reduce(0) { $0 + $1.parameters } }
    var bytes: Int { tensors.reduce(0) { $0 + $1.bytes } }

    /// Tensors as transformers sees them: what bitsandbytes stores of one weight is one of them.
    private static func tensors(_ store: WeightStore) throws -> [Tensor] {
        let state = ".quant_state.bitsandbytes__nf4"
        let parts = [
            ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", state,
        ]
        var tensors: [Tensor] = []
        for stored in store.tensors {
            let name = stored.name
            if let part = parts.first(where: name.hasSuffix),
                store[name.dropLast(part.count) + state] != nil
            {
                continue
            }
            var tensor = Tensor(
                name: name, type: stored.type.rawValue, shape: stored.shape,
                bytes: stored.byteRange.count)
            if let stateTensor = store[name + state] {
                let json = try stateTensor.withBytes {
                    try JSON.parse($0, file: store.path + ": " + stateTensor.name)
                }
                let shape = json["shape"]?.array?.compactMap(\.integer) ?? []
                guard shape.count == 2, shape.allSatisfy({ $0 > 0 && $0 < 1 << 31 }),
                    stored.count == (shape[0] * shape[1] + 1) / 2
                else {
                    throw InputError(
                        "has no shape of \(stored.count) bytes of 4-bit values", file: store.path,
                        field: stateTensor.name, remedy: "the file is damaged: fetch it again")
                }
                (tensor.type, tensor.shape) = ("NF4", shape)
                tensor.bytes += parts.reduce(0) { $0 + (store[name + $1]?.byteRange.count ?? 0) }
            }
            tensors.append(tensor)
        }
        return tensors
    }

    private static func description(_ c: ModelConfiguration) -> JSON.Object {
        [
            "family": .string(c.family.rawValue), "layers": .integer(c.layers),
            "hidden_size": .integer(c.hiddenSize),
            "intermediate_size": .integer(c.intermediateSize),
            "heads": .integer(c.heads), "key_value_heads": .integer(c.keyValueHeads),
            "head_width": .integer(c.headWidth), "vocabulary": .integer(c.vocabularySize),
            "positions": .integer(c.maxPositions), "tied_head": .bool(c.tiedHead),
        ]
    }

    private static func adapter(_ file: String) throws -> JSON.Object {
        let json = try JSON.parse(file: file)
        let keys = [
            "base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "target_modules",
            "use_rslora",
        ]
        return .init(keys.compactMap { key in json[key].map { (key, $0) } })
    }

    /// Metadata without the long lists, of which only the length is said.
    private static func short(_ metadata: JSON.Object) -> JSON.Object {
        .init(
            metadata.pairs.map { key, value in
                guard let array = value.array, array.count > 16 else { return (key, value) }
                return (key, .string("\(array.count) values"))
            })
    }

    // MARK: Output

    var json: JSON {
        [
            "kind": .string(kind.rawValue), "parameters": .integer(parameters),
            "bytes": .integer(bytes), "description": .object(description),
            "tensors": .array(
                tensors.map { tensor in
                    [
                        "name": .string(tensor.name), "dtype": .string(tensor.type),
                        "shape": .array(tensor.shape.map { .integer($0) }),
                        "parameters": .integer(tensor.parameters), "bytes": .integer(tensor.bytes),
                    ]
                }),
        ]
    }

    var text: String {
        var lines = ["\(path): \(kind.rawValue)"]
        lines += description.pairs.map { pair in
            let value = pair.value.string ?? pair.value.serialized(ensureASCII: false)
            let line = value.split(separator: "\n", omittingEmptySubsequences: false)[0]
            return "  \(pair.key.rightPadded(26)) \(line.prefix(90))"
        }
        let width = tensors.map(\.name.count).max() ?? 0
        lines += tensors.map { tensor in
            let shape = tensor.shape.map { String($0) }.joined(separator: " x ")
            return "  \(tensor.name.rightPadded(width))  \(tensor.type.rightPadded(6))"
                + "\(shape.leftPadded(18)) \(tensor.bytes.mebibytes.leftPadded(12))"
        }
        lines.append(
            "\(tensors.count) tensors, \(parameters.grouped) parameters, \(bytes.mebibytes)")
        return lines.joined(separator: "\n")
    }
}
