internal import OslerCompute

extension ModelConfiguration {
    /// A weight of the model by transformers' name.
    package struct Weight: Sendable, Equatable {
        package let name: String
        package let shape: [Int]
        /// The weight of a layer that can be quantized and have an adapter: its module's name.
        package let module: String?
    }

    /// All weights, in the order in which a model is built.
    package func weights() throws -> [Weight] {
        let backend = PlanningBackend(precision: .float32)
        var weights: [Weight] = []
        _ = try CausalLM.build(self, backend: backend, positions: 1) { name, shape in
            let isLinear = shape.count == 2 && name.hasPrefix("model.layers.")
            let module = isLinear ? String(name.dropLast(".weight".count)) : nil
            weights.append(Weight(name: name, shape: shape, module: module))
            return .dense(try backend.tensor(.float32, shape))
        }
        return weights
    }
}
