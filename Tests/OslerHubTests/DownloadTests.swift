import OslerFormats
import OslerHub
import OslerTestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct `Downloads` {
    @Test func `a model is fetched as Hugging Face keeps it, and only what is needed`() throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        let folder = try place.fetchModel()
        #expect(folder == place.repositoryFolder + "/snapshots/" + LoopbackHub.commit)
        #expect(
            try FileSystem.list(folder) == ["config.json", "model.safetensors", "tokenizer.json"])
        #expect(try FileSystem.read(folder + "/model.safetensors") == weights)
        #expect(try FileSystem.readText(folder + "/config.json") == #"{"model_type": "llama"}"#)
        #expect(
            try FileSystem.readText(place.repositoryFolder + "/refs/main") == LoopbackHub.commit)
        let name = LoopbackHub.etag(weights, isLarge: true)
        #expect(linkTarget(folder + "/model.safetensors") == "../../blobs/" + name)
        #expect(try FileSystem.list(place.repositoryFolder + "/blobs").count == 3)
        guard
            case .begins(let repository, _, let files, let bytes, 3)? = place.events.dropFirst()
                .first
        else {
            return #expect(Bool(false), "nothing was said first")
        }
        #expect((repository.id, files, bytes) == ("org/model", 3, weights.count + 25))
    }

    @Test func `what is there is not fetched again`() throws {
        let place = try HubWorkplace()
        place.addModel()
        _ = try place.fetchModel()
        place.loopback.server.forgetRequests()
        place.loopback.store.forgetRequests()
        _ = try place.fetchModel()
        #expect(
            place.loopback.server.requests.map(\.target) == ["/api/models/org/model/revision/main"])
        #expect(place.loopback.store.requests.isEmpty)
    }

    @Test func `files in folders are linked from their depth`() throws {
        let place = try HubWorkplace()
        place.addModel()
        let hub = try place.hub()
        let listing = try hub.listing(HubRepository(.model, "org/model"))
        let folder = try hub.fetch(["original/params.json"], of: listing)
        #expect(try FileSystem.readText(folder + "/original/params.json") == "{}")
        #expect(linkTarget(folder + "/original/params.json")?.hasPrefix("../../../blobs/") == true)
    }

    @Test func `the token goes to the hub and to nobody else`() throws {
        let place = try HubWorkplace()
        place.addModel { $0.token = "hf_secret" }
        _ = try place.fetchModel { $0.token = "hf_secret" }
        let hub = place.loopback.server.requests
        #expect(hub.count >= 7)
        #expect(hub.allSatisfy { $0.headers["authorization"] == "Bearer hf_secret" })
        let store = place.loopback.store.requests
        #expect(store.map(\.method) == ["GET"])
        #expect(store.allSatisfy { $0.headers["authorization"] == nil })
        #expect(!store.contains { "\($0)".contains("hf_secret") })
    }

    @Test func `a connection that is cut goes on where it was`() throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        place.loopback.trouble("model.safetensors", [.cut(after: 100_000), .cut(after: 50_000)])
        let folder = try place.fetchModel()
        #expect(try FileSystem.read(folder + "/model.safetensors") == weights)
        let ranges = place.loopback.store.requests.map { $0.headers["range"] }
        #expect(ranges == [nil, "bytes=100000-", "bytes=150000-"])
        #expect(place.pauses == [1, 1])
    }

    @Test func `a connection that brings nothing is given up after five tries`() throws {
        let place = try HubWorkplace()
        place.addModel()
        place.loopback.trouble("model.safetensors", .init(repeating: .cut(after: 0), count: 9))
        let line = errorLine { _ = try place.fetchModel() }
        #expect(line?.contains("can't be reached") == true)
        #expect(place.loopback.store.requests.count == 5)
        #expect(place.pauses == [1, 2, 4, 8])
        #expect(!FileSystem.exists(place.repositoryFolder + "/refs/main"))
    }

    @Test func `what an earlier run has fetched is kept`() throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        try place.leavePart(Array(weights.prefix(200_000)), of: weights)
        let folder = try place.fetchModel()
        #expect(try FileSystem.read(folder + "/model.safetensors") == weights)
        #expect(place.loopback.store.requests.map { $0.headers["range"] } == ["bytes=200000-"])
        #expect(!FileSystem.exists(place.blob(weights) + ".incomplete"))
    }

    @Test func `a server that ignores ranges starts from the beginning`() throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        try place.leavePart(Array(weights.prefix(200_000)), of: weights)
        place.loopback.trouble("model.safetensors", [.ignoresRange])
        let folder = try place.fetchModel()
        #expect(try FileSystem.read(folder + "/model.safetensors") == weights)
    }

    @Test func `a damaged beginning is fetched again`() throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        try place.leavePart([UInt8](repeating: 7, count: 1000), of: weights)
        let folder = try place.fetchModel()
        #expect(try FileSystem.read(folder + "/model.safetensors") == weights)
        #expect(place.loopback.store.requests.map { $0.headers["range"] } == ["bytes=1000-", nil])
    }

    @Test(arguments: ["model.safetensors", "config.json"])
    func `damaged bytes never get their name`(file: String) throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        place.loopback.trouble(file, [.damages, .damages, .damages])
        let line = errorLine { _ = try place.fetchModel() }
        #expect(
            line?.hasPrefix("org/model: \(file): what arrives is damaged: its hash is ") == true)
        let folder = place.repositoryFolder + "/snapshots/" + LoopbackHub.commit
        #expect(!FileSystem.exists(folder + "/" + file))
        if file == "model.safetensors" { #expect(!FileSystem.exists(place.blob(weights))) }
        #expect(!FileSystem.exists(place.repositoryFolder + "/refs/main"))
    }

    @Test func `a download that is given up keeps what has arrived`() throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        place.loopback.trouble("model.safetensors", [.cut(after: 100_000)])
        var settings = HubSettings(
            endpoint: try place.address(place.loopback.address), cache: place.path)
        settings.parallelDownloads = 1
        settings.tries = 1
        let hub = Hub(settings)
        let listing = try hub.listing(HubRepository(.model, "org/model"))
        #expect(throws: InputError.self) { try hub.fetch(["model.safetensors"], of: listing) }
        #expect(FileSystem.size(place.blob(weights) + ".incomplete") == 100_000)
    }

    private func linkTarget(_ path: String) -> String? {
        var target = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &target, target.count)
        guard count >= 0 else { return nil }
        return String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
