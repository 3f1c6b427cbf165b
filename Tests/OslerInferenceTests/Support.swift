import OslerCompute
import OslerFormats
import OslerInference
import OslerModels
import OslerTestSupport

/// A folder of its own, removed at the end.
final class TemporaryFolder {
    let path = Fixtures.temporaryFolder()
    init() throws { try FileSystem.createDirectories(path) }
    deinit { try? FileSystem.remove(path) }
    func path(_ name: String) -> String { FileSystem.join(path, name) }
}

func loadTiny(_ path: String, _ precision: Precision = .float32) throws -> CausalLM {
    try ModelLoader(
        ModelFiles(path), backend: CPUBackend(precision: precision, threads: 2)
    ).load(positions: 256)
}

/// The tiny model of `lora/base` with its weights rounded to bfloat16 and written as `type`, and its tokenizer.
func writeRoundedBase(_ source: String, as type: StoredType, into folder: String) throws {
    try FileSystem.createDirectories(folder)
    try AtomicFile.write(
        try FileSystem.read(FileSystem.join(source, "config.json")),
        to: FileSystem.join(folder, "config.json"))
    let tensors = try WeightStore(source).tensors.map { tensor in
        let values = try tensor.floats().map(FloatConversion.rounded)
        let bytes =
            type == .float32
            ? values.withUnsafeBytes { Array($0) }
            : values.map(FloatConversion.bfloat16).withUnsafeBytes { Array($0) }
        return (SafetensorsWriter.Entry(tensor.name, type, tensor.shape), bytes)
    }
    try SafetensorsWriter.write(
        tensors.map { (entry: $0.0, bytes: $0.1) },
        to: FileSystem.join(folder, WeightStore.singleName))
}
