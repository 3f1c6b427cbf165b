internal import OslerCompute

extension CausalLM {
    /// The most arena bytes that `body` takes on a model of this shape: it runs on a backend that computes nothing.
    package static func measureArena(
        _ configuration: ModelConfiguration, precision: Precision,
        lora: LoRAConfiguration? = nil, headWorkspace: (any Backend)? = nil,
        _ body: (CausalLM, Arena) throws -> Void
    ) throws -> Int {
        let backend = PlanningBackend(precision: precision, headWorkspace: headWorkspace)
        let model = try CausalLM.shapeOnly(configuration, backend: backend)
        if let lora { try model.attach(lora, seed: 0) }
        let arena = try Arena(backend: backend, byteCount: 1 << 50)
        try body(model, arena)
        return arena.peak
    }

    /// A model with dense weights that hold nothing: for planning, or (`fill`) for measuring speed.
    static func shapeOnly(
        _ configuration: ModelConfiguration, backend: any Backend
    ) throws -> CausalLM {
        let type = backend.precision.activationType
        return try build(configuration, backend: backend, positions: 1 << 20) { name, shape in
            shape.count == 1
                ? .dense(try backend.tensor(.float32, [shape[0]]))
                : .dense(try backend.tensor(type, shape))
        }
    }
}
