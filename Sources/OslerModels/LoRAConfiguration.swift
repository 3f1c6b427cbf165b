package import OslerFormats

/// PEFT's `LoraConfig`, as far as Osler has it.
package struct LoRAConfiguration: Sendable, Equatable {
    /// Which linear layers get an adapter.
    package enum Targets: Sendable, Equatable {
        /// A module matches a name when it equals it or ends in `.name`.
        case names([String])
        /// Every linear layer but the head.
        case allLinear
        /// A regular expression over the whole module name.
        case pattern(String)
    }

    package var rank: Int = 8
    package var alpha: Double = 8
    package var dropout: Double = 0
    package var targets: Targets = .names(["q_proj", "v_proj"])
    /// Scale alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023).
    package var rankStabilized = false
    /// Ranks and alphas of modules whose name matches a key, as in PEFT: `(.*\.)?(key)$`; the first key wins.
    package var rankPattern: [(key: String, value: Int)] = []
    package var alphaPattern: [(key: String, value: Double)] = []

    /// No layer so far is wider.
    package static let largestRank = 65536
    package static let alphaLimit = 1e6

    /// nil for what can't be a rank.
    package static func rank(_ value: JSON) -> Int? {
        value.integer.flatMap { (1...largestRank).contains($0) ? $0 : nil }
    }
    package static var rankDescription: String { "a whole number from 1 to \(largestRank)" }

    /// nil for what can't be an alpha: at 0 nothing would be learned or applied.
    package static func alpha(_ value: JSON) -> Double? {
        value.double.flatMap { Float($0) > 0 && $0 < alphaLimit ? $0 : nil }
    }
    package static var alphaDescription: String { "a number above 0 and below \(alphaLimit)" }

    package init() {}

    package static func == (a: Self, b: Self) -> Bool {
        a.rank == b.rank && a.alpha == b.alpha && a.dropout == b.dropout && a.targets == b.targets
            && a.rankStabilized == b.rankStabilized
            && a.rankPattern.elementsEqual(b.rankPattern) { $0 == $1 }
            && a.alphaPattern.elementsEqual(b.alphaPattern) { $0 == $1 }
    }

    /// Names as transformers gives them, without a leading `model.` requirement: `model.layers.0.self_attn.q_proj`.
    package func selects(_ module: String) throws -> Bool {
        switch targets {
        case .allLinear: return true
        case .names(let names): return names.contains { module == $0 || module.hasSuffix("." + $0) }
        case .pattern(let pattern):
            return try Self.matches(module, pattern, field: "target_modules")
        }
    }

    package func rank(of module: String) throws -> Int {
        for (key, value) in rankPattern {
            if try Self.matches(module, "(.*\\.)?(\(key))", field: "rank_pattern") { return value }
        }
        return rank
    }

    package func scale(of module: String) throws -> Double {
        var alpha = alpha
        for (key, value) in alphaPattern {
            if try Self.matches(module, "(.*\\.)?(\(key))", field: "alpha_pattern") {
                alpha = value
                break
            }
        }
        let rank = Double(try rank(of: module))
        return rankStabilized ? alpha / rank.squareRoot() : alpha / rank
    }

    private static func matches(_ module: String, _ pattern: String, field: String) throws -> Bool {
        do {
            return try Regex(pattern).wholeMatch(in: module) != nil
        } catch {
            throw InputError("not a regular expression: \(pattern)", field: field)
        }
    }
}

extension LoRAConfiguration {
    /// Reads PEFT's `adapter_config.json`. Refuses what would change the result if ignored.
    package init(json: JSON, file: String) throws {
        self.init()
        func refuse(_ key: String, unless allowed: (JSON) -> Bool) throws {
            guard let value = json[key], !value.isNull, !allowed(value) else { return }
            throw InputError(
                "\(value.serialized()) is not supported", file: file, field: key,
                remedy: "use a plain LoRA adapter")
        }
        guard json["peft_type"]?.string == "LORA" else {
            throw InputError(
                "not a LoRA adapter", file: file, field: "peft_type", remedy: "Osler reads LORA")
        }
        try refuse("bias") { $0.string == "none" }
        for key in ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora"] {
            try refuse(key) { $0.bool == false }
        }
        for key in [
            "modules_to_save", "layers_to_transform", "layer_replication",
            "trainable_token_indices", "target_parameters", "exclude_modules",
        ] {
            try refuse(key) { $0.array?.isEmpty ?? false }
        }
        func wrong(_ key: String, _ expected: String) -> InputError {
            InputError(
                "not " + expected, file: file, field: key,
                remedy: "the adapter is damaged: copy it again")
        }
        func rank(_ value: JSON?, _ key: String) throws -> Int {
            guard let rank = value.flatMap(Self.rank) else {
                throw wrong(key, Self.rankDescription)
            }
            return rank
        }
        func alpha(_ value: JSON?, _ key: String) throws -> Double {
            guard let alpha = value.flatMap(Self.alpha) else {
                throw wrong(key, Self.alphaDescription)
            }
            return alpha
        }
        func section(_ key: String) throws -> [(key: String, value: JSON)] {
            guard let value = json[key], !value.isNull else { return [] }
            guard let object = value.object else { throw wrong(key, "an object") }
            return object.pairs
        }
        self.rank = try rank(json["r"], "r")
        self.alpha = try alpha(json["lora_alpha"], "lora_alpha")
        if let value = json["lora_dropout"], !value.isNull {
            guard let dropout = value.double, (0..<1).contains(Float(dropout)) else {
                throw wrong("lora_dropout", "a number from 0 to below 1")
            }
            self.dropout = dropout
        }
        if let value = json["use_rslora"], !value.isNull {
            guard let flag = value.bool else { throw wrong("use_rslora", "true or false") }
            rankStabilized = flag
        }
        switch json["target_modules"] {
        case .array(let names)? where names.allSatisfy({ $0.string != nil }):
            targets = .names(names.compactMap(\.string))
        case .string("all-linear")?: targets = .allLinear
        case .string(let pattern)?: targets = .pattern(pattern)
        default: throw wrong("target_modules", "a list of names or text")
        }
        rankPattern = try section("rank_pattern").map {
            ($0.key, try rank($0.value, "rank_pattern." + $0.key))
        }
        alphaPattern = try section("alpha_pattern").map {
            ($0.key, try alpha($0.value, "alpha_pattern." + $0.key))
        }
    }

    /// The small set of keys that every PEFT version since 0.5 reads. `modules` are the adapted modules.
    package func json(baseModel: String, modules: [String]) -> JSON {
        var object = JSON.Object()
        object["peft_type"] = .string("LORA")
        object["task_type"] = .string("CAUSAL_LM")
        object["base_model_name_or_path"] = .string(baseModel)
        object["revision"] = .null
        object["inference_mode"] = .bool(true)
        object["r"] = .integer(rank)
        object["lora_alpha"] = Int(exactly: alpha).map { .integer($0) } ?? .number(alpha)
        object["lora_dropout"] = .number(dropout)
        object["target_modules"] = targetsJSON(modules)
        object["bias"] = .string("none")
        object["fan_in_fan_out"] = .bool(false)
        object["init_lora_weights"] = .bool(true)
        object["use_rslora"] = .bool(rankStabilized)
        object["modules_to_save"] = .null
        object["layers_to_transform"] = .null
        object["layers_pattern"] = .null
        object["rank_pattern"] = .object(.init(rankPattern.map { ($0.key, .integer($0.value)) }))
        object["alpha_pattern"] = .object(
            .init(
                alphaPattern.map { pair in
                    (pair.key, Int(exactly: pair.value).map { .integer($0) } ?? .number(pair.value))
                }))
        return .object(object)
    }

    /// Names as given; `all-linear` becomes the suffixes of the adapted modules, as PEFT writes it.
    private func targetsJSON(_ modules: [String]) -> JSON {
        switch targets {
        case .names(let names): return .array(names.map { .string($0) })
        case .pattern(let pattern): return .string(pattern)
        case .allLinear:
            let suffixes = Set(
                modules.compactMap { $0.split(separator: ".").last.map(String.init) })
            return .array(suffixes.sorted().map { .string($0) })
        }
    }
}
