import OslerCompute
import OslerModels
import OslerTestSupport
import Testing

/// Models from a name alone.
@Suite struct RandomModelTests {
    /// Parameters as the models' own safetensors files count them; a tied head once.
    @Test(arguments: [
        (ModelShape.smolLM2, 134_515_008), (.r1DistillQwen, 1_777_088_000),
        (.r1DistillLlama, 8_030_261_248),
        (.r1DistillLlamaLarge, 70_553_706_496), (.qwen3Smallest, 596_049_920),
        (.qwen3Small, 1_720_574_976), (.qwen3Medium, 4_022_468_096), (.qwen3Large, 8_190_735_360),
    ])
    func `shapes have the parameters of the models`(shape: ModelShape, count: Int) throws {
        let configuration = shape.configuration
        #expect(configuration.parameterCount == count)
        // What the layers and kernels need.
        #expect(configuration.heads % configuration.keyValueHeads == 0)
        #expect(configuration.headWidth % 8 == 0)
    }

    private static var small: ModelConfiguration {
        var configuration = ModelShape.qwen3Smallest.configuration
        (configuration.layers, configuration.vocabularySize) = (1, 1000)
        return configuration
    }

    @Test(arguments: [false, true], [Precision.float32, .bfloat16])
    func `weights take the bytes that were planned`(isQuantized: Bool, precision: Precision) throws
    {
        for shape in ModelShape.allCases {
            var configuration = shape.configuration
            (configuration.layers, configuration.vocabularySize) = (1, 100)
            let backend = PlanningBackend(precision: precision)
            let planned = try CausalLM.shapeOnly(
                configuration, backend: backend,
                quantization: isQuantized ? .nf4(doubleQuantized: true) : .none, dense: .bfloat16
            ).weightBytes
            let model = try CausalLM.random(
                configuration, backend: backend, isQuantized: isQuantized, positions: 8)
            #expect(model.weightBytes == planned, "\(shape)")
        }
    }

    @Test func `weights have a standard deviation of 0.02, and none is the same for two layers`()
        throws
    {
        let backend = try CPUBackend(precision: .bfloat16, threads: 1)
        for isQuantized in [false, true] {
            let model = try CausalLM.random(
                Self.small, backend: backend, isQuantized: isQuantized, positions: 8)
            var seen: [[Float]] = []
            try model.forEachLinear { linear in
                let values = try Self.values(linear.weight, backend)
                let count = Double(values.count)
                let mean = values.reduce(0) { $0 + Double($1) } / count
                let variance = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
                #expect(abs((variance / count).squareRoot() - 0.02) < 0.001, "\(linear.name)")
                #expect(abs(mean) < 0.001)
                #expect(values.allSatisfy { abs($0) < 0.052 })
                seen.append(Array(values.prefix(64)))
            }
            #expect(Set(seen).count == 7)
            #expect(Set(try backend.floats(model.finalNorm)) == [1])
        }
    }

    @Test func `an embedding of its own has rows for the tokens that are asked for`() throws {
        var configuration = Self.small
        configuration.tiedHead = false
        let backend = try CPUBackend(precision: .bfloat16, threads: 1)
        let model = try CausalLM.random(
            configuration, backend: backend, isQuantized: true, positions: 8, tokens: [3, 700])
        let filled = try (0..<1000).filter {
            try backend.floats(model.embedding.rows($0..<$0 + 1)).contains { $0 != 0 }
        }
        #expect(filled == [3, 700])
    }

    private static func values(_ matrix: FrozenMatrix, _ backend: any Backend) throws -> [Float] {
        switch matrix {
        case .dense(let tensor): try backend.floats(tensor)
        case .nf4(let matrix): matrix.values()
        }
    }
}
