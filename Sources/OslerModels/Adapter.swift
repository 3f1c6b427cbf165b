package import OslerCompute
internal import OslerFormats

/// The trainable part of a model: LoRA pairs on some of its linear layers.
package struct Adapter: Sendable {
    package struct Module: Sendable {
        /// `model.layers.0.self_attn.q_proj`
        package let name: String
        package let pair: LoRAPair
    }
    package let configuration: LoRAConfiguration
    package let modules: [Module]
    /// All gradients, one after the other, float32, a tensor a device: cleared in one go.
    package let gradients: [Tensor]

    /// A's and B's with their gradients, named as in PEFT's files, in the order of the forward pass.
    package var parameters: [(name: String, value: Tensor, gradient: Tensor)] {
        modules.flatMap { module in
            let keys = Self.keys(module.name)
            return [
                (keys.a, module.pair.a, module.pair.gradientA),
                (keys.b, module.pair.b, module.pair.gradientB),
            ]
        }
    }
    package var parameterCount: Int { gradients.reduce(0) { $0 + $1.count } }

    /// PEFT's names of a module's A and B.
    private static func keys(_ module: String) -> (a: String, b: String) {
        let prefix = "base_model.model." + module
        return (prefix + ".lora_A.weight", prefix + ".lora_B.weight")
    }

    /// A layer that is to have a pair.
    struct Selection {
        let name: String
        let input: Int
        let output: Int
        let rank: Int
        let scale: Double
        /// The device of its weight, and of the pair.
        let place: Int

        /// The pair's tensors as they are in a file.
        var tensors: [(name: String, shape: [Int])] {
            let keys = Adapter.keys(name)
            return [(keys.a, [rank, input]), (keys.b, [output, rank])]
        }
    }
}

extension CausalLM {
    /// Puts a fresh adapter on the layers that `configuration` selects: A from the uniform distribution over
    /// `±1/sqrt(in)` (PEFT's `kaiming_uniform_(a=sqrt(5))`), B zero, so that the model starts as the base.
    ///
    /// - Throws: when no layer matches, or a matched name doesn't exist.
    package func attach(_ configuration: LoRAConfiguration, seed: UInt64) throws {
        var generator = TorchGenerator(seed: seed)
        try attach(configuration) { _, pair in
            let bound = 1 / Float(pair.a.columns).squareRoot()
            let values = (0..<pair.a.count).map { _ in
                generator.nextFloat(low: -bound, high: bound)
            }
            backend.write(values, to: pair.a)
            backend.zero(pair.b)
        }
    }

    /// An adapter whose values are still to be written.
    package func attachUnfilled(_ configuration: LoRAConfiguration) throws {
        try attach(configuration) { _, _ in }
    }

    /// - Parameter fill: gives a new pair its values.
    func attach(
        _ configuration: LoRAConfiguration, fill: (String, LoRAPair) throws -> Void
    ) throws {
        let selected = try selection(configuration)
        let devices = 0..<placement.devices
        func tensors() throws -> [Tensor] {
            try devices.map { device in
                let own = selected.filter { $0.place == device }
                let count = own.reduce(0) { $0 + $1.rank * ($1.input + $1.output) }
                return try backend.on(device) { try backend.tensor(.float32, [count]) }
            }
        }
        let (parameters, gradients) = (try tensors(), try tensors())
        for tensor in gradients { backend.zero(tensor) }
        var offsets = devices.map { _ in 0 }
        func take(_ rows: Int, _ columns: Int, on place: Int) -> (Tensor, Tensor) {
            let range = offsets[place]..<offsets[place] + rows * columns
            offsets[place] = range.upperBound
            return (
                parameters[place].rows(range).reshaped([rows, columns]),
                gradients[place].rows(range).reshaped([rows, columns])
            )
        }
        var modules: [Adapter.Module] = []
        for (index, module) in selected.enumerated() {
            let (a, gradientA) = take(module.rank, module.input, on: module.place)
            let (b, gradientB) = take(module.output, module.rank, on: module.place)
            let pair = LoRAPair(
                index: index, a: a, b: b, gradientA: gradientA, gradientB: gradientB,
                scale: Float(module.scale), dropout: Float(configuration.dropout))
            try fill(module.name, pair)
            modules.append(.init(name: module.name, pair: pair))
        }
        adapter = Adapter(configuration: configuration, modules: modules, gradients: gradients)
        let pairs = Dictionary(uniqueKeysWithValues: modules.map { ($0.name, $0.pair) })
        forEachLinear { $0.lora = pairs[$0.name] }
    }

    /// The layers that `configuration` selects, in the order of the forward pass.
    ///
    /// - Throws: when no layer matches, or a matched name doesn't exist.
    func selection(_ configuration: LoRAConfiguration) throws -> [Adapter.Selection] {
        var selected: [Adapter.Selection] = []
        var names: [String] = []
        try forEachLinear { linear in
            names.append(linear.name)
            guard try configuration.selects(linear.name) else { return }
            selected.append(
                .init(
                    name: linear.name, input: linear.inputWidth, output: linear.outputWidth,
                    rank: try configuration.rank(of: linear.name),
                    scale: try configuration.scale(of: linear.name),
                    place: linear.weight.place))
        }
        try checkTargets(configuration, names: names, selected: selected.map(\.name))
        return selected
    }

    /// Every name given must match something: a typing error would silently train less.
    private func checkTargets(
        _ configuration: LoRAConfiguration, names: [String], selected: [String]
    ) throws {
        let known = Set(names.compactMap { $0.split(separator: ".").last.map(String.init) })
        let remedy = "this model has " + known.sorted().joined(separator: ", ")
        guard !selected.isEmpty else {
            throw InputError("no layer matches", field: "target_modules", remedy: remedy)
        }
        guard case .names(let targets) = configuration.targets else { return }
        for target in targets
        where !selected.contains(where: { $0 == target || $0.hasSuffix("." + target) }) {
            throw InputError(
                "no layer matches \"\(target)\"", field: "target_modules", remedy: remedy)
        }
    }
}
