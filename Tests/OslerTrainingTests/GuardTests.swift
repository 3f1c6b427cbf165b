import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// What must not be trained on stops the run before its update, and is named.
@Suite struct GuardTests {
    private let run: ReferenceRun
    private let backend: CPUBackend

    init() throws {
        run = try ReferenceRun("nll-shuffle-tail")
        backend = try CPUBackend(precision: .float32, threads: 2)
    }

    /// The tiny model with NaN as the embedding of `token`.
    private func base(withoutNumberFor token: Int) throws -> String {
        let folder = Fixtures.temporaryFolder()
        try FileSystem.createDirectories(folder)
        let source = Fixtures.path("lora/base")
        let config = try FileSystem.read(source + "/config.json")
        try AtomicFile.write(config, to: folder + "/config.json")
        var bytes = try FileSystem.read(source + "/model.safetensors")
        let headerSize = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try JSON.parse(String(decoding: bytes[8..<8 + headerSize], as: UTF8.self))
        let embedding = try #require(header["model.embed_tokens.weight"])
        let start = try #require(embedding["data_offsets"]?.array?.first?.integer)
        let width = try #require(embedding["shape"]?.array?.last?.integer)
        let row = 8 + headerSize + start + token * width * 4
        for place in stride(from: row, to: row + width * 4, by: 4) {
            bytes.replaceSubrange(place..<place + 4, with: [0, 0, 0xC0, 0x7F])
        }
        try AtomicFile.write(bytes, to: folder + "/model.safetensors")
        return folder
    }

    /// Trains until it stops by itself; the error, and the values before.
    private func stop(
        _ trainer: SFTTrainer
    ) throws -> (error: InputError?, before: [String: [UInt32]]) {
        let before = try bits(trainer)
        let error = #expect(throws: InputError.self) { try trainer.train() }
        return (error, before)
    }

    private func bits(_ trainer: SFTTrainer) throws -> [String: [UInt32]] {
        try trainer.adapterValues().mapValues { $0.map(\.bitPattern) }
    }

    /// Token 329 is in row 11 alone, which comes in step 2 together with row 4.
    @Test(arguments: [Checkpointing.none, .block])
    func `a loss that is not a number names its rows`(_ checkpointing: Checkpointing) throws {
        let (base, folder) = (try base(withoutNumberFor: 329), Fixtures.temporaryFolder())
        defer { for path in [base, folder] { try? FileSystem.remove(path) } }
        let trainer = try run.trainer(
            backend, model: try run.model(backend, base: base),
            output: try RunFolder(path: folder, baseModel: "base"),
            change: { ($0.saveSteps, $0.checkpointing) = (1, checkpointing) })
        let (error, _) = try stop(trainer)
        #expect(error?.problem == "the loss of step 2 is not finite")
        #expect(error?.field == "rows [4, 11]")
        #expect(error?.remedy?.contains("nothing was updated") == true)
        // As after step 1, of which there is a checkpoint; the log ends there, too.
        #expect(trainer.stepsDone == 1 && trainer.logEntries.count == 1)
        let saved = try Golden(folder + "/checkpoint-1/adapter_model.safetensors")
        for (name, values) in try bits(trainer) {
            #expect(try saved.floats(name).map(\.bitPattern) == values, "\(name)")
        }
        #expect(try FileSystem.list(folder) == ["checkpoint-1", "metrics.jsonl"])
    }

    @Test func `a gradient that is not finite names the rows of its step`() throws {
        // B is zero, so that the loss is the base's, but what B's gradient sums up overflows.
        var lora = LoRAConfiguration()
        (lora.rank, lora.alpha) = (4, 1e38)
        let model = try ModelLoader(
            ModelFiles(Fixtures.path("lora/base")), backend: backend, quantization: .none
        ).load(positions: 512)
        try model.attach(lora, seed: 1)
        for module in try #require(model.adapter).modules {
            let values = try backend.floats(module.pair.a)
            backend.write(values.map { $0 * 1e5 }, to: module.pair.a)
        }
        let trainer = try run.trainer(backend, model: model)
        let (error, before) = try stop(trainer)
        #expect(error?.problem == "the gradient of step 1 is not finite")
        #expect(error?.field == "rows [6, 15, 14, 7, 8, 16, 10, 3]")
        #expect(error?.remedy?.contains("nothing was updated") == true)
        #expect(try bits(trainer) == before && trainer.stepsDone == 0)
    }

    @Test func `an adapter that no gradient reaches is named`() throws {
        let model = try run.model(backend)
        let modules = try #require(model.adapter).modules
        for index in [1, 4] { backend.zero(modules[index].pair.a) }
        let trainer = try run.trainer(backend, model: model)
        let (error, before) = try stop(trainer)
        #expect(
            error?.problem
                == "no gradient reaches lora_B of \(modules[1].name), \(modules[4].name)")
        #expect(error?.field == "target_modules")
        #expect(try bits(trainer) == before && trainer.stepsDone == 0)
    }
}
