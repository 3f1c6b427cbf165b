package import OslerCompute
internal import OslerFormats

extension Adapter {
    package static let weightsFile = "adapter_model.safetensors"
    package static let configurationFile = "adapter_config.json"

    /// Writes PEFT's `adapter_config.json` and `adapter_model.safetensors` (float32) into an existing folder.
    ///
    /// - Throws: when a value is not finite: such an adapter could not be read again.
    package func write(into folder: String, baseModel: String, backend: any Backend) throws {
        for (name, value, _) in parameters
        where !(try backend.floats(value).allSatisfy(\.isFinite)) {
            throw InputError(
                "not all values are finite", field: name,
                remedy: "nothing was written; lower learning_rate")
        }
        // The weights first: without room for them there is no configuration that nothing belongs to.
        try SafetensorsWriter.write(
            parameters.map { ($0.name, $0.value) }, backend: backend,
            to: FileSystem.join(folder, Self.weightsFile))
        let json = configuration.json(baseModel: baseModel, modules: modules.map(\.name))
        try AtomicFile.write(
            json.serialized(indent: 2) + "\n", to: FileSystem.join(folder, Self.configurationFile))
    }

    /// Replaces the values by those of a PEFT adapter folder of the same shape.
    package func read(from folder: String, backend: any Backend) throws {
        try SafetensorsFile(FileSystem.join(folder, Self.weightsFile)).read(
            parameters.map { ($0.name, $0.value) }, backend: backend)
    }
}

extension CausalLM {
    /// Attaches a PEFT adapter from its folder.
    ///
    /// - Parameter dropout: for further training; nil keeps the adapter's own.
    /// - Throws: when files are missing or damaged, or the adapter was made for another model.
    package func attachAdapter(from folder: String, dropout: Double? = nil) throws {
        let configurationFile = FileSystem.join(folder, Adapter.configurationFile)
        guard FileSystem.exists(configurationFile) else {
            throw InputError(
                "no \(Adapter.configurationFile) here", file: folder,
                remedy: "name a folder that holds a PEFT adapter")
        }
        var lora = try LoRAConfiguration(
            json: try JSON.parse(file: configurationFile), file: configurationFile)
        if let dropout { lora.dropout = dropout }
        let selection: [Adapter.Selection]
        do {
            selection = try self.selection(lora)
        } catch let error as InputError {
            throw InputError(
                error.problem, file: configurationFile, field: error.field,
                remedy: "the adapter was made for another model; " + (error.remedy ?? ""))
        }
        // Before memory is taken for what the configuration claims.
        try Adapter.check(
            SafetensorsFile(FileSystem.join(folder, Adapter.weightsFile)),
            selection.flatMap(\.tensors))
        try attach(lora) { _, _ in }
        try adapter?.read(from: folder, backend: backend)
    }
}

extension Adapter {
    /// Refuses a file that doesn't hold exactly these tensors.
    fileprivate static func check(
        _ file: SafetensorsFile, _ expected: [(name: String, shape: [Int])]
    ) throws {
        for (name, shape) in expected { _ = try file.tensor(name, shape: shape) }
        let names = Set(expected.map(\.name))
        for name in file.names where !names.contains(name) {
            throw InputError(
                "no such layer in this model", file: file.path, field: name,
                remedy: "use the adapter with the model that it was trained on")
        }
    }
}
