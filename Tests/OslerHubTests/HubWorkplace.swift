import OslerFormats
import OslerHub
import OslerTestSupport
import Synchronization

/// A loopback hub, a cache of its own, and what was reported; the cache is removed at the end.
final class HubWorkplace: Sendable {
    let loopback: LoopbackHub
    let path = Fixtures.temporaryFolder()
    private let waited = Mutex<[Double]>([])
    private let reported = Mutex<[Hub.Event]>([])

    init() throws { loopback = try LoopbackHub() }

    deinit { try? FileSystem.remove(path) }

    /// Seconds that the client would have waited between tries.
    var pauses: [Double] { waited.withLock { $0 } }
    var events: [Hub.Event] { reported.withLock { $0 } }

    func hub(_ change: (inout HubSettings) -> Void = { _ in }) throws -> Hub {
        var settings = HubSettings(endpoint: try address(loopback.address), cache: path)
        settings.pause = { [self] seconds in waited.withLock { $0.append(seconds) } }
        change(&settings)
        return Hub(settings) { event in self.reported.withLock { $0.append(event) } }
    }

    func address(_ text: String) throws -> WebAddress {
        guard let address = WebAddress(text) else { throw InputError("no address: \(text)") }
        return address
    }

    /// Fetches a model's files, and gives back the folder.
    func fetchModel(
        _ id: String = "org/model", revision: String? = nil,
        _ change: (inout HubSettings) -> Void = { _ in }
    ) throws -> String {
        let hub = try hub(change)
        let listing = try hub.listing(HubRepository(.model, id, revision: revision))
        return try hub.fetch(ModelFileChoice.model(listing), of: listing)
    }

    /// A model with a large file of `count` bytes.
    @discardableResult
    func addModel(count: Int = 300_000, _ change: (inout LoopbackHub.Repository) -> Void = { _ in })
        -> [UInt8]
    {
        var generator = SystemRandomNumberGenerator()
        let weights = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        var repository = LoopbackHub.Repository(
            [
                "config.json": Array(#"{"model_type": "llama"}"#.utf8),
                "tokenizer.json": Array("{}".utf8), "model.safetensors": weights,
                "pytorch_model.bin": weights, "README.md": Array("# A model".utf8),
                "original/params.json": Array("{}".utf8),
            ], large: ["model.safetensors", "pytorch_model.bin"])
        change(&repository)
        loopback.add("models/org/model", repository)
        return weights
    }

    var repositoryFolder: String { path + "/models--org--model" }

    func blob(_ bytes: [UInt8]) -> String {
        repositoryFolder + "/blobs/" + LoopbackHub.etag(bytes, isLarge: true)
    }

    /// What a broken earlier try leaves.
    func leavePart(_ part: [UInt8], of whole: [UInt8]) throws {
        try FileSystem.createDirectories(repositoryFolder + "/blobs")
        try AtomicFile.write(part, to: blob(whole) + ".incomplete")
    }
}

/// The error that `body` throws as the user would see it, or nil.
func errorLine(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return "\(error)"
    }
}
