import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import Testing

/// Base weights for a card that computes in float16.
@Suite struct Float16WeightTests {
    private static let name = "model.layers.0.mlp.up_proj.weight"

    /// The tiny model with this weight in another type, its first value replaced.
    private func model(_ type: StoredType, first: Float) throws -> (ModelCopy, values: [Float]) {
        let copy = try ModelCopy("lora/base")
        var values: [Float] = []
        try copy.change { tensors in
            guard var stored = tensors[Self.name] else { return }
            values = stride(from: 0, to: stored.bytes.count, by: 4).map { place in
                Float(
                    bitPattern: stored.bytes[place..<place + 4].reversed().reduce(0) {
                        $0 << 8 | UInt32($1)
                    })
            }
            values[0] = first
            switch type {
            case .float32: stored.bytes = values.withUnsafeBytes { Array($0) }
            case .float16:
                stored.bytes = values.map(FloatConversion.float16).withUnsafeBytes { Array($0) }
            default:
                values = values.map(FloatConversion.rounded)
                stored.bytes = values.map(FloatConversion.bfloat16).withUnsafeBytes { Array($0) }
            }
            stored.type = type
            tensors[Self.name] = stored
        }
        return (copy, values)
    }

    private func weight(_ copy: ModelCopy, _ quantization: WeightQuantization = .none) throws
        -> FrozenMatrix
    {
        let files = try ModelFiles(copy.path)
        let configuration = files.configuration
        return try ModelLoader(
            files, backend: ReferenceBackend(precision: .float16), quantization: quantization
        ).weight(Self.name, [configuration.intermediateSize, configuration.hiddenSize])
    }

    @Test(arguments: [StoredType.float32, .bfloat16, .float16])
    func `weights are rounded to float16 once`(type: StoredType) throws {
        let (copy, values) = try model(type, first: type == .bfloat16 ? 65024 : 65519)
        guard case .dense(let tensor) = try weight(copy) else {
            Issue.record("not dense")
            return
        }
        #expect(tensor.dtype == .float16)
        let held = try ReferenceBackend(precision: .float16).floats(tensor)
        #expect(held[0] == (type == .bfloat16 ? 65024 : 65504))
        #expect(held == values.map(DType.float16.rounded))
    }

    @Test(arguments: [(StoredType.float32, Float(-65520)), (.bfloat16, 70_000), (.float32, 1e30)])
    func `a weight beyond float16 is named`(type: StoredType, value: Float) throws {
        let (copy, values) = try model(type, first: value)
        let error = try #require(try refusal { _ = try weight(copy) })
        #expect(error.field == Self.name && error.file == copy.file(WeightStore.singleName))
        #expect(error.problem.contains("\(values[0])") && error.remedy?.contains("bf16") == true)
    }

    /// From the values of the file, whatever float16 would make of them.
    @Test(arguments: [StoredType.float32, .bfloat16, .float16])
    func `NF4 is made from the file's values`(type: StoredType) throws {
        let (copy, values) = try model(type, first: type == .float16 ? 1 : 1e5)
        guard case .nf4(let matrix) = try weight(copy, .nf4(doubleQuantized: false)) else {
            Issue.record("not NF4")
            return
        }
        let exact = type == .float16 ? values.map(DType.float16.rounded) : values
        let shape = [matrix.rows, matrix.columns]
        let expected = try NF4.quantize(
            try ReferenceBackend(precision: .float32).tensor(exact, shape), doubleQuantized: false,
            on: ThreadPool(threads: 1))
        #expect(matrix.values() == expected.values())
    }
}
