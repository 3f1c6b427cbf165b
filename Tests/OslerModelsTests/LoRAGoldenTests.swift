import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import Testing

/// Losses and gradients of adapters against PEFT and TRL.
@Suite struct LoRAGoldenTests {
    static let adapters = ["qv", "qkvo", "all-linear", "rslora", "pattern"]

    /// The three rows of the reference batch without their padding.
    private func sequences(_ labels: String) throws -> TokenBatch {
        let golden = try Golden(Fixtures.path("lora/batch.safetensors"))
        let width = try golden.shape("input_ids")[1]
        let (ids, mask) = (
            try golden.integers("input_ids"), try golden.integers("attention_mask")
        )
        let all = try golden.integers(labels)
        var batch = TokenBatch(ids: [], positions: [], targets: [], lengths: [])
        for row in 0..<ids.count / width {
            let length = mask[row * width..<(row + 1) * width].reduce(0, +)
            batch.lengths.append(length)
            for place in 0..<length {
                batch.ids.append(Int32(ids[row * width + place]))
                batch.positions.append(Int32(place))
                let next = place + 1 < length ? all[row * width + place + 1] : -100
                batch.targets.append(next == -100 ? -1 : Int32(next))
            }
        }
        return batch
    }

    private func model(_ adapter: String, _ backend: any Backend) throws -> CausalLM {
        let model = try loadModel("lora/base", backend)
        try model.attachAdapter(from: Fixtures.path("lora/\(adapter)"))
        return model
    }

    @Test(arguments: adapters, TestBackend.allCases)
    func `losses, metrics and gradients equal TRL's`(adapter: String, on: TestBackend) throws {
        let backend = try on.make()
        let golden = try Golden(Fixtures.path("lora/\(adapter)/expected.safetensors"))
        let json = try JSON.parse(file: Fixtures.path("lora/expected.json"))
        for loss in [LossKind.nll, .dft] {
            for scope in ["full", "completion"] {
                let key = "\(loss.rawValue).\(scope)"
                guard let expected = json[adapter]?[key], golden.contains(key + ".loss") else {
                    continue
                }
                let model = try model(adapter, backend)
                let batch = try sequences("labels_" + scope)
                let rows = try model.accumulateGradients(
                    batch, loss: loss, scale: 1 / Float(batch.targetCount),
                    checkpointing: .none, dropout: nil, arena: try testArena(backend))
                let count = Double(rows.count)
                #expect(rows.count == expected["n_tokens"]?.integer)
                #expect(
                    abs(rows.lossSum(loss) / count - (expected["loss"]?.double ?? .nan)) < 3e-6)
                #expect(abs(rows.entropySum / count - (expected["entropy"]?.double ?? .nan)) < 1e-5)
                let accuracy = expected["mean_token_accuracy"]?.double ?? .nan
                #expect(abs(rows.topSum / count - accuracy) < 1e-6)
                if scope == "completion" {
                    try compareGradients(model, golden, prefix: key + ".grad.")
                }
            }
        }
    }

    private func compareGradients(_ model: CausalLM, _ golden: Golden, prefix: String) throws {
        for parameter in try #require(model.adapter).parameters {
            let name = parameter.name.replacing(".weight", with: ".default.weight")
            let expected = try golden.floats(prefix + name)
            let found = try model.backend.floats(parameter.gradient)
            let largest = expected.map(abs).max() ?? 0
            let difference = GoldenDifference(found, expected)
            #expect(difference.absolute <= 2e-5 * largest, "\(name): \(difference)")
        }
    }

    @Test(arguments: adapters, TestBackend.allCases)
    func `recomputing blocks changes no bit`(adapter: String, on: TestBackend) throws {
        let backend = try on.make()
        let batch = try sequences("labels_completion")
        func gradients(_ checkpointing: Checkpointing, dropout: DropoutSource?) throws -> [Float] {
            let model = try loadModel("lora/base", backend)
            try model.attachAdapter(from: Fixtures.path("lora/\(adapter)"), dropout: 0.2)
            _ = try model.accumulateGradients(
                batch, loss: .nll, scale: 1, checkpointing: checkpointing, dropout: dropout,
                arena: try testArena(backend))
            return try backend.floats(try #require(model.adapter).gradients[0])
        }
        let dropout = DropoutSource(seed: 7, microBatch: 3)
        let kept = try gradients(.none, dropout: dropout)
        #expect(try gradients(.block, dropout: dropout) == kept)
        #expect(try gradients(.keeping(1), dropout: dropout) == kept)
        #expect(try gradients(.block, dropout: nil) != kept)
        let other = DropoutSource(seed: 7, microBatch: 4)
        #expect(try gradients(.block, dropout: other) != kept)
    }

    /// d loss / d parameter by central differences, with dropout on, for some entries of every A and B.
    @Test func `gradients with dropout equal finite differences`() throws {
        let backend = ReferenceBackend(precision: .float32)
        let batch = try sequences("labels_completion")
        let model = try loadModel("lora/base", backend)
        try model.attachAdapter(from: Fixtures.path("lora/all-linear"), dropout: 0.1)
        let adapter = try #require(model.adapter)
        let dropout = DropoutSource(seed: 1, microBatch: 0)
        let arena = try testArena(backend)
        func loss() throws -> Double {
            try model.accumulateGradients(
                batch, loss: .nll, scale: 1 / Float(batch.targetCount), checkpointing: .none,
                dropout: dropout, arena: arena
            ).lossSum(.nll) / Double(batch.targetCount)
        }
        _ = try loss()
        let gradients = adapter.parameters.map { Array($0.gradient.elements(as: Float.self)) }
        for (parameter, gradient) in zip(adapter.parameters, gradients)
        where parameter.name.contains("layers.1.") {
            let values = parameter.value.elements(as: Float.self)
            let place = gradient.indices.max { abs(gradient[$0]) < abs(gradient[$1]) } ?? 0
            let kept = values[place]
            values[place] = kept + 5e-3
            let above = try loss()
            values[place] = kept - 5e-3
            let below = try loss()
            values[place] = kept
            let difference = (above - below) / 1e-2
            #expect(
                abs(difference - Double(gradient[place])) < 0.02 * abs(difference) + 2e-5,
                "\(parameter.name): \(gradient[place]) against \(difference)")
        }
    }

    @Test func `an adapter written and read again is the same`() throws {
        let backend = ReferenceBackend(precision: .float32)
        let model = try loadModel("lora/base", backend)
        try model.attachAdapter(from: Fixtures.path("lora/pattern"))
        let adapter = try #require(model.adapter)
        let folder = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(folder) }
        try FileSystem.createDirectories(folder)
        try adapter.write(into: folder, baseModel: "base", backend: backend)
        let again = try loadModel("lora/base", backend)
        try again.attachAdapter(from: folder)
        #expect(try #require(again.adapter).configuration == adapter.configuration)
        for (a, b) in zip(adapter.parameters, try #require(again.adapter).parameters) {
            #expect(a.name == b.name)
            #expect(try backend.floats(a.value) == backend.floats(b.value))
        }
    }

    @Test(arguments: [
        (LoRAConfiguration.Targets.names(["q_prj"]), "no layer matches"),
        (.pattern("model\\.layers\\.9\\..*"), "no layer matches"),
        (.pattern("(["), "not a regular expression"),
    ])
    func `targets that match nothing are refused`(
        targets: LoRAConfiguration.Targets, problem: String
    ) throws {
        let model = try loadModel("lora/base", ReferenceBackend(precision: .float32))
        var configuration = LoRAConfiguration()
        configuration.targets = targets
        let error = #expect(throws: InputError.self) { try model.attach(configuration, seed: 1) }
        #expect(error?.problem.hasPrefix(problem) == true)
    }
}
