import OslerCompute
import OslerFormats
import OslerInference
import OslerModels
import OslerTestSupport
import Testing

@Suite struct QuantizerTests {
    /// The reference was written by transformers and bitsandbytes from the same weights, rounded to bfloat16.
    @Test(arguments: [(true, Precision.bfloat16, "double"), (false, .float32, "single")])
    func `weights and configuration are bitsandbytes' to the byte`(
        double: Bool, precision: Precision, reference: String
    ) throws {
        let folder = try TemporaryFolder()
        let base = folder.path("base")
        try writeRoundedBase(Fixtures.path("model/llama-gqa"), as: .float32, into: base)
        try FileSystem.createDirectories(folder.path("nf4"))
        try ModelQuantizer(
            ModelFiles(base), doubleQuantized: double, precision: precision, threads: 2
        ).quantize(into: folder.path("nf4"))
        for name in ["model.safetensors", "config.json"] {
            let expected = try FileSystem.read(
                Fixtures.path("nf4/prequantized-\(reference)/\(name)"))
            #expect(try FileSystem.read(folder.path("nf4/" + name)) == expected, "\(name)")
        }
    }

    @Test func `a quantized model is refused`() throws {
        #expect(throws: InputError.self) {
            try ModelQuantizer(
                ModelFiles(Fixtures.path("nf4/prequantized-double")), doubleQuantized: true)
        }
    }

    /// Two files and more give the same model as one.
    @Test(arguments: [60_000, 1])
    func `shards hold every tensor once`(limit: Int) throws {
        let folder = try TemporaryFolder()
        let source = try WeightStore(Fixtures.path("lora/base"))
        let groups = source.tensors.map {
            [SafetensorsWriter.Entry($0.name, $0.type, $0.shape)]
        }
        try ShardedWeights.write(groups, into: folder.path, shardBytes: limit) { entry, write in
            try source.tensor(entry.name).withBytes(write)
        }
        let files = try FileSystem.list(folder.path)
        let shards = files.filter { $0.hasSuffix(".safetensors") }
        #expect(files.contains(WeightStore.indexName) && shards.count > 1)
        #expect(limit > 1 || shards.count == source.tensors.count)
        let last = String(100_000 + shards.count).dropFirst()
        #expect(shards.last == "model-\(last)-of-\(last).safetensors")
        let copy = try WeightStore(folder.path)
        #expect(Set(copy.names) == Set(source.names) && copy.names.count == source.names.count)
        for tensor in source.tensors {
            #expect(try copy.tensor(tensor.name).floats() == tensor.floats())
        }
        let index = try JSON.parse(file: folder.path(WeightStore.indexName))
        #expect(index["metadata"]?["total_size"]?.integer == source.byteCount)
    }
}
