package import OslerCompute

extension CausalLM {
    /// The most arena bytes that `body` takes on a model of this shape, a number a device: it runs on backends that compute
    /// nothing.
    package static func measureArena(
        _ configuration: ModelConfiguration, lora: LoRAConfiguration? = nil,
        placement: Placement = Placement(), on backend: any Backend,
        _ body: (CausalLM, Arena) throws -> Void
    ) throws -> [Int] {
        let planner = PlanningBackend.standIn(for: backend, devices: placement.devices)
        let model = try CausalLM.shapeOnly(
            configuration, backend: planner, placement: placement.withoutStreams)
        if let lora { try model.attachUnfilled(lora) }
        let endless = [Int](repeating: 1 << 50, count: placement.devices)
        let arena = try Arena(backend: planner, byteCounts: endless)
        try body(model, arena)
        return arena.peaks
    }

    private func measureArena(_ body: (CausalLM, Arena) throws -> Void) throws -> [Int] {
        try Self.measureArena(
            configuration, lora: adapter?.configuration, placement: placement, on: backend, body)
    }

    /// Arena bytes for passes without gradients over at most `tokens` tokens and `rows` rows of logits.
    package func inferenceArenaBytes(tokens: Int, rows: Int) throws -> [Int] {
        let batch = TokenBatch(
            sequences: [[Int32](repeating: 0, count: tokens)], allTargets: false)
        return try measureArena { model, arena in
            _ = try model.logits(batch, rows: Array(0..<rows), arena: arena)
        }
    }

    /// Arena bytes for `lossRows` of one sequence of `tokens` tokens, all of them targets.
    package func lossArenaBytes(tokens: Int) throws -> [Int] {
        let batch = TokenBatch(
            sequences: [[Int32](repeating: 0, count: tokens)], allTargets: true)
        return try measureArena { model, arena in _ = try model.lossRows(batch, arena: arena) }
    }

    /// A model whose weights hold nothing, for planning.
    ///
    /// - Parameters:
    ///   - quantization: of the blocks' matrices.
    ///   - dense: the type of the other matrices; nil: that of activations.
    ///   - placement: nothing is streamed.
    package static func shapeOnly(
        _ configuration: ModelConfiguration, backend: any Backend,
        placement: Placement = Placement(), quantization: WeightQuantization = .none,
        dense: DType? = nil
    ) throws -> CausalLM {
        let type = dense ?? backend.precision.activationType
        return try build(
            configuration, backend: backend, positions: 1 << 20, placement: placement
        ) { name, shape in
            if shape.count == 1 { return .dense(try backend.tensor(.float32, shape)) }
            guard name.hasPrefix("model.layers."), case .nf4(let isDouble) = quantization else {
                return .dense(try backend.tensor(type, shape))
            }
            return .nf4(try emptyNF4(shape, isDoubleQuantized: isDouble, backend))
        }
    }

    private static func emptyNF4(
        _ shape: [Int], isDoubleQuantized: Bool, _ backend: any Backend
    ) throws -> NF4Matrix {
        let count = shape[0] * shape[1]
        let blocks = (count + 63) / 64
        let nested =
            isDoubleQuantized
            ? NF4Matrix.Nested(
                absmax: try backend.tensor(.float32, [(blocks + 255) / 256]),
                table: try backend.tensor(.float32, [256]), offset: 0) : nil
        return NF4Matrix(
            rows: shape[0], columns: shape[1],
            codes: try backend.tensor(.uint8, [(count + 1) / 2]),
            absmax: try backend.tensor(isDoubleQuantized ? .uint8 : .float32, [blocks]),
            nested: nested)
    }
}
