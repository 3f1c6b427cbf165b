package import OslerCompute

extension CausalLM {
    /// The most arena bytes that `body` takes on a model of this shape: it runs on a backend that computes nothing.
    package static func measureArena(
        _ configuration: ModelConfiguration, precision: Precision,
        lora: LoRAConfiguration? = nil, headWorkspace: (any Backend)? = nil,
        _ body: (CausalLM, Arena) throws -> Void
    ) throws -> Int {
        let backend = PlanningBackend(precision: precision, headWorkspace: headWorkspace)
        let model = try CausalLM.shapeOnly(configuration, backend: backend)
        if let lora { try model.attachUnfilled(lora) }
        let arena = try Arena(backend: backend, byteCount: 1 << 50)
        try body(model, arena)
        return arena.peak
    }

    /// Arena bytes for passes without gradients over at most `tokens` tokens and `rows` rows of logits.
    package static func inferenceArenaBytes(
        _ configuration: ModelConfiguration, precision: Precision, lora: LoRAConfiguration? = nil,
        tokens: Int, rows: Int
    ) throws -> Int {
        let batch = TokenBatch(
            sequences: [[Int32](repeating: 0, count: tokens)], allTargets: false)
        return try measureArena(configuration, precision: precision, lora: lora) { model, arena in
            _ = try model.logits(batch, rows: Array(0..<rows), arena: arena)
        }
    }

    /// Arena bytes for `lossRows` of one sequence of `tokens` tokens, all of them targets.
    package static func lossArenaBytes(
        _ configuration: ModelConfiguration, backend: any Backend, lora: LoRAConfiguration?,
        tokens: Int
    ) throws -> Int {
        let batch = TokenBatch(
            sequences: [[Int32](repeating: 0, count: tokens)], allTargets: true)
        return try measureArena(
            configuration, precision: backend.precision, lora: lora, headWorkspace: backend
        ) { model, arena in
            _ = try model.lossRows(batch, arena: arena)
        }
    }

    /// A model with dense weights that hold nothing: for planning, or (`fill`) for measuring speed.
    package static func shapeOnly(
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
