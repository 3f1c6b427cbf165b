import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import Testing

/// Adapters whose numbers no training gives, or that aren't those of the model.
@Suite struct `Hostile adapters` {
    private static let a = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"

    private func refusal(_ copy: ModelCopy) throws -> InputError {
        let model = try loadModel("lora/base", ReferenceBackend(precision: .float32))
        let error = try OslerModelsTests.refusal { try model.attachAdapter(from: copy.path) }
        return try #require(error, "accepted")
    }

    @Test(
        arguments: [
            ("r", 0), ("r", -8), ("r", 8.5), ("r", 65537), ("r", .integer(.max)), ("r", "8"),
            ("r", nil), ("lora_alpha", 0), ("lora_alpha", -32), ("lora_alpha", .number(.nan)),
            ("lora_alpha", .number(.infinity)), ("lora_alpha", 1e38), ("lora_alpha", nil),
            ("lora_dropout", -0.1), ("lora_dropout", 1), ("lora_dropout", 0.999999999),
            ("lora_dropout", .number(.nan)), ("lora_dropout", "0.1"), ("use_rslora", "yes"),
            ("rank_pattern", [8]), ("rank_pattern.q_proj", 0),
            ("rank_pattern.q_proj", .integer(.max)), ("rank_pattern.q_proj", "8"),
            ("alpha_pattern.q_proj", 0), ("alpha_pattern.q_proj", .number(.infinity)),
            ("target_modules", ["q_proj", 1]), ("target_modules", 1), ("bias", "all"),
        ] as [(String, JSON?)])
    func `wrong values are refused`(key: String, value: JSON?) throws {
        let copy = try ModelCopy("lora/qkvo")
        try copy.set(key, value, in: Adapter.configurationFile)
        let error = try refusal(copy)
        #expect(error.file == copy.file(Adapter.configurationFile), "\(error)")
        #expect(error.field == key && error.remedy != nil, "\(error)")
    }

    /// Memory for rank 65536 would be taken only if it were believed.
    @Test(arguments: [4, 65536]) func `a rank is that of the tensors`(rank: Int) throws {
        let copy = try ModelCopy("lora/qkvo")
        try copy.set("r", .integer(rank), in: Adapter.configurationFile)
        let error = try refusal(copy)
        #expect(error.file == copy.file(Adapter.weightsFile) && error.field == Self.a, "\(error)")
        #expect(error.problem == "shape [8, 64] where [\(rank), 64] is expected")
    }

    @Test(arguments: [Float.nan, .infinity]) func `values must be finite`(value: Float) throws {
        let copy = try ModelCopy("lora/qkvo")
        try copy.change(Adapter.weightsFile) { tensors in
            guard let stored = tensors[Self.a] else { return }
            tensors[Self.a]?.bytes = stored.bytes.beginning(with: value)
        }
        let error = try refusal(copy)
        #expect(error.field == Self.a && error.problem == "not all values are finite", "\(error)")
    }

    @Test func `tensors must be there, and no others`() throws {
        let copy = try ModelCopy("lora/qkvo")
        try copy.change(Adapter.weightsFile) { tensors in
            tensors["other"] = tensors[Self.a]
        }
        #expect(try refusal(copy).field == "other")
        try copy.change(Adapter.weightsFile) { tensors in
            tensors["other"] = nil
            tensors[Self.a] = nil
        }
        #expect(try refusal(copy).field == Self.a)
    }

    @Test func `an adapter that is not finite is not written`() throws {
        let backend = ReferenceBackend(precision: .float32)
        let model = try loadModel("lora/base", backend)
        try model.attach(LoRAConfiguration(), seed: 1)
        let adapter = try #require(model.adapter)
        let (name, value, _) = try #require(adapter.parameters.first)
        backend.write([Float](repeating: .nan, count: value.count), to: value)
        let copy = try ModelCopy("lora/tokenizer")
        let before = try FileSystem.list(copy.path)
        let error = try OslerModelsTests.refusal {
            try adapter.write(into: copy.path, baseModel: "base", backend: backend)
        }
        #expect(error?.field == name)
        #expect(try FileSystem.list(copy.path) == before)
    }
}
