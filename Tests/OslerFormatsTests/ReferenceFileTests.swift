import OslerFormats
import OslerTestSupport
import Testing

/// Files that the real libraries wrote, in the full reference set.
@Suite(.enabled(if: Fixtures.sharedIsThere, "the reference set is not beside the checkout"))
struct `Reference files` {
    static let models = [
        "model/llama-gqa", "model/llama3-rope-tied", "model/qwen2", "model/qwen3", "lora/base",
        "nf4/prequantized-double", "nf4/prequantized-single",
    ]

    @Test(arguments: models) func `model folders open`(_ name: String) throws {
        let path = try #require(Fixtures.shared(name))
        let store = try WeightStore(path)
        #expect(store.names.contains("model.embed_tokens.weight"))
        let config = try JSON.parse(file: path + "/config.json")
        #expect(config["hidden_size"]?.integer != nil)
        // Python wrote it with indent=2 and sorted keys: the text comes out the same.
        #expect(
            config.serialized(indent: 2, sortKeys: true) + "\n"
                == (try FileSystem.readText(path + "/config.json")))
    }

    @Test(arguments: ["model/qwen2/model.safetensors", "nf4/quantize.safetensors"])
    func `a rewritten file has the same bytes`(_ name: String) throws {
        let path = try #require(Fixtures.shared(name))
        let file = try SafetensorsFile(path)
        let folder = TemporaryFolder()
        try SafetensorsWriter.write(
            file.tensors.map { tensor in
                (.init(tensor.name, tensor.type, tensor.shape), tensor.withBytes { Array($0) })
            }, to: folder.file("out"), metadata: file.metadata)
        #expect(try FileSystem.read(folder.file("out")) == FileSystem.read(path))
    }

    @Test(arguments: ["smollm2", "deepseek-r1-distill-qwen", "deepseek-r1-distill-llama"])
    func `a tokenizer file inflates and parses`(_ name: String) throws {
        let path = try #require(Fixtures.shared("tokenizers/\(name)/tokenizer.json.gz"))
        let bytes = try MappedFile(path).withBytes { try Gzip.decompress($0, file: path) }
        let json = try JSON.parse(bytes)
        #expect((json["model"]?["vocab"]?.object?.count ?? 0) > 40_000)
        // Written anew and read again it is the same.
        #expect(try JSON.parse(json.serialized(ensureASCII: false)) == json)
    }
}
