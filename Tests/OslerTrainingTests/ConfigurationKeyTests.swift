import OslerData
import OslerCompute
import OslerFormats
import OslerTraining
import Testing

/// Every key of a configuration: where its value goes, what is refused, and what a mistyped one is told.
@Suite struct ConfigurationKeyTests {
    private static let least: JSON.Object = ["base_model_name": "m", "dataset_name": "d"]

    /// `least` with `key` in place of what it is another name of.
    private static func object(
        _ name: String, _ value: JSON?, of key: ConfigurationKey? = nil
    ) -> JSON.Object {
        var object = least
        for (name, value) in key?.beside.pairs ?? [] { object[name] = value }
        guard let value else { return object }
        for alias in key?.names ?? [] where object[alias] != nil { object[alias] = nil }
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        object[parts[0]] = parts.count == 1 ? value : .object([parts[1]: value])
        return object
    }

    /// Options by path, as Swift prints them.
    private static func options(_ configuration: SFTConfiguration) -> [String: String] {
        var found: [String: String] = [:]
        func visit(_ value: Any, _ path: String) {
            let mirror = Mirror(reflecting: value)
            switch mirror.displayStyle {
            case .struct:
                for child in mirror.children {
                    let name = child.label ?? ""
                    visit(child.value, path.isEmpty ? name : path + "." + name)
                }
            case .optional:
                if let child = mirror.children.first {
                    visit(child.value, path)
                } else {
                    found[path] = "nil"
                }
            default: found[path] = String(describing: value)
            }
        }
        visit(configuration, "")
        found["acceptedKeys"] = nil
        return found
    }

    @Test(arguments: ConfigurationKey.all)
    func `a value lands in its option and nowhere else`(_ key: ConfigurationKey) throws {
        let before = Self.options(
            try SFTConfiguration(Self.object(key.names[0], nil, of: key)))
        for name in key.names {
            let after = Self.options(
                try SFTConfiguration(Self.object(name, key.value, of: key)))
            let changed = after.filter { before[$0.key] != $0.value }
            #expect(changed == key.lands, "\(name)")
        }
    }

    @Test(arguments: ConfigurationKey.all)
    func `a wrong value is one clear error`(_ key: ConfigurationKey) throws {
        for name in key.names {
            for value in key.kind.wrong + key.refused {
                let error = #expect(throws: InputError.self, "\(name): \(value)") {
                    try SFTConfiguration(Self.object(name, value, of: key), file: "run.yaml")
                }
                let line = error.map { "\($0)" } ?? ""
                #expect(line.hasPrefix("run.yaml: \(name): "), "\(value): \(line)")
                #expect((error?.problem.count ?? 0) > 10 && !line.contains("\n"), "\(line)")
            }
        }
    }

    @Test(arguments: ConfigurationKey.all.filter { $0.names.count > 1 })
    func `two names of one key must agree`(_ key: ConfigurationKey) throws {
        for other in key.names.dropFirst() {
            var object = Self.object(other, key.value, of: key)
            object[key.names[0]] = key.value
            _ = try SFTConfiguration(object)
            object[key.names[0]] = key.kind.wrong[0]
            let error = #expect(throws: InputError.self) { try SFTConfiguration(object) }
            #expect(error?.problem.contains("contradicts") == true, "\(other)")
        }
    }

    @Test(arguments: ConfigurationKey.all.flatMap(\.names) + ConfigurationKey.withoutEffect)
    func `a mistyped key names the nearest`(name: String) throws {
        let parts = name.split(separator: ".").map(String.init)
        let key = parts[parts.count - 1]
        let middle = key.index(key.startIndex, offsetBy: key.count / 2)
        var typos = [String(key[...middle] + key[middle...])]
        if key.count > 3 { typos.append(String(key[..<middle] + key[key.index(after: middle)...])) }
        for typo in typos {
            let wrong = (parts.dropLast() + [typo]).joined(separator: ".")
            let error = #expect(throws: InputError.self) {
                try SFTConfiguration(Self.object(wrong, 1))
            }
            #expect(error?.field == wrong)
            #expect(error?.remedy == "did you mean \(key)?")
        }
    }

    @Test func `a key that is near none is told where keys come from`() {
        let error = #expect(throws: InputError.self) {
            try SFTConfiguration(Self.object("something_else", 1))
        }
        #expect(error?.remedy?.contains("TrainingArguments") == true)
    }

    /// A key that is added must be added to the table above, too.
    @Test func `the table holds every key and every option`() throws {
        var object = Self.least
        for section in ["split", "columns", "lr_scheduler_kwargs"] { object[section] = [:] }
        let configuration = try SFTConfiguration(object)
        let tested = ConfigurationKey.all.flatMap(\.names) + ConfigurationKey.withoutEffect
        #expect(Set(tested).count == tested.count)
        #expect(configuration.acceptedKeys.sorted() == tested.sorted())
        let reached = Set(ConfigurationKey.all.flatMap(\.lands.keys))
        #expect(
            reached.union(ConfigurationKey.derivedOptions)
                == Set(Self.options(configuration).keys))
    }

    @Test(arguments: ConfigurationKey.withoutEffect)
    func `a key of the Python stack without effect is named`(name: String) throws {
        let before = Self.options(try SFTConfiguration(Self.least))
        let configuration = try SFTConfiguration(Self.object(name, "anything"))
        #expect(configuration.withoutEffect == [name])
        let after = Self.options(configuration)
        #expect(after.filter { before[$0.key] != $0.value }.map(\.key) == ["withoutEffect"])
    }

    @Test func `one device for all is what device_map is without a word`() throws {
        let configuration = try SFTConfiguration(Self.object("device_map", ["": 0]))
        #expect(configuration.deviceMap == .whole && configuration.withoutEffect.isEmpty)
        let error = #expect(throws: InputError.self) {
            try SFTConfiguration(Self.object("device_map", ["model": 0, "lm_head": 1]))
        }
        #expect(error?.remedy?.contains("auto") == true)
    }

    @Test func `what a key needs beside it is said`() {
        let fp4 = #expect(throws: InputError.self) {
            try SFTConfiguration(Self.object("load_in_4bit", true))
        }
        #expect(fp4?.field == "bnb_4bit_quant_type")
        let patterns: [(String, [JSON])] = [
            ("rank_pattern", [0, 1.5, "x"]), ("alpha_pattern", ["x", true]),
        ]
        for (key, values) in patterns {
            for value in values {
                let error = #expect(throws: InputError.self) {
                    try SFTConfiguration(Self.object(key, ["q_proj": value]))
                }
                #expect(error?.field == key + ".q_proj")
            }
        }
        for key in ConfigurationKey.all
        where ["baseModel", "dataset"].contains(key.lands.first?.key) {
            var object = Self.least
            object[key.names[0]] = nil
            let missing = #expect(throws: InputError.self) { try SFTConfiguration(object) }
            #expect(missing?.field == key.names[0] && missing?.problem == "missing")
        }
    }

    @Test func `null is a key left out, but no limit as a length`() throws {
        for key in ConfigurationKey.all
        where key.names[0] != "max_length" && !key.names.contains(where: { Self.least[$0] != nil })
        {
            for name in key.names {
                let configuration = try SFTConfiguration(Self.object(name, .null, of: key))
                let before = try SFTConfiguration(Self.object(name, nil, of: key))
                let (found, expected) = (Self.options(configuration), Self.options(before))
                #expect(found == expected, "\(name)")
            }
        }
        for name in ["max_length", "max_seq_length", "max_output_length"] {
            let configuration = try SFTConfiguration(Self.object(name, .null))
            #expect(configuration.data.maxLength == nil, "\(name)")
        }
    }

    struct Types: Sendable, CustomTestStringConvertible {
        let keys: JSON.Object
        /// nil: the hardware decides.
        let precision: String?
        var testDescription: String { JSON.object(keys).serialized() }
        init(_ keys: JSON.Object, _ precision: String?) {
            (self.keys, self.precision) = (keys, precision)
        }
    }

    @Test(arguments: [
        Types([:], nil), Types(["dtype": "auto"], nil), Types(["fp16": false], nil),
        Types(["bf16": true], "bfloat16"), Types(["bf16": false], "float32"),
        Types(["fp16": true], "float16"), Types(["bf16": false, "fp16": true], "float16"),
        Types(["dtype": "bfloat16"], "bfloat16"), Types(["torch_dtype": "float16"], "float16"),
        // The type that weights are read in; what is computed in is another matter.
        Types(["dtype": "float16", "bf16": true], "bfloat16"),
        Types(["dtype": "bfloat16", "fp16": true], "float16"),
        Types(["dtype": "float32", "fp16": true], "float32"),
    ])
    func `the types that Python's configurations name`(_ types: Types) throws {
        #expect(try precision(types.keys) == types.precision)
    }

    @Test(arguments: [
        Types(["bnb_4bit_compute_dtype": "torch.float16"], "float16"),
        Types(["bnb_4bit_compute_dtype": "bfloat16"], "bfloat16"),
        Types(["bnb_4bit_compute_dtype": "float16", "fp16": true], "float16"),
        Types(["bnb_4bit_compute_dtype": "float32", "fp16": true], "float32"),
    ])
    func `the compute type of 4-bit weights`(_ types: Types) throws {
        var keys = types.keys
        // Without them it says nothing.
        #expect(try precision(keys) == (keys["fp16"] == nil ? nil : "float16"))
        (keys["load_in_4bit"], keys["bnb_4bit_quant_type"]) = (true, "nf4")
        #expect(try precision(keys) == types.precision)
    }

    private func precision(_ keys: JSON.Object) throws -> String? {
        var object = Self.least
        for (key, value) in keys.pairs { object[key] = value }
        return try SFTConfiguration(object).precision.map { "\($0)" }
    }

    @Test func `types that contradict each other are an error`() {
        let nf4: JSON.Object = ["load_in_4bit": true, "bnb_4bit_quant_type": "nf4"]
        for (key, keys) in [
            ("fp16", ["bf16": true, "fp16": true]),
            ("bnb_4bit_compute_dtype", ["bf16": true, "bnb_4bit_compute_dtype": "float16"]),
            ("bnb_4bit_compute_dtype", ["fp16": true, "bnb_4bit_compute_dtype": "bfloat16"]),
        ] as [(String, JSON.Object)] {
            var object = Self.least
            for (key, value) in nf4.pairs + keys.pairs { object[key] = value }
            let error = #expect(throws: InputError.self) { try SFTConfiguration(object) }
            #expect(error?.field == key && error?.problem.contains("contradicts") == true)
        }
    }
}
