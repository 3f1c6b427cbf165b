import OslerFormats
import OslerHub
import OslerTestSupport
import Testing

@Suite struct `Parts of the hub` {
    @Test(arguments: [
        (
            "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        ),
        (
            "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
    ]) func `digests are the standard's`(text: String, sha256: String, sha1: String) {
        for (kind, expected) in [(Digest.Kind.sha256, sha256), (.sha1, sha1)] {
            var whole = Digest(kind)
            whole.update(text)
            #expect(whole.finish() == expected)
        }
    }

    @Test func `digests don't depend on the pieces`() {
        let bytes = (0..<1000).map { UInt8($0 % 251) }
        for size in [1, 3, 63, 64, 65, 200, 1000] {
            for kind in [Digest.Kind.sha256, .sha1] {
                var (pieces, whole) = (Digest(kind), Digest(kind))
                bytes.withUnsafeBytes { bytes in
                    for start in stride(from: 0, to: 1000, by: size) {
                        let end = min(1000, start + size)
                        pieces.update(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                    }
                    whole.update(bytes)
                }
                #expect(pieces.finish() == whole.finish())
            }
        }
    }

    @Test(arguments: [
        ("data/*.parquet", "data/train.parquet", true),
        ("data/*.parquet", "data/a/b.parquet", false),
        ("**/*.json", "a/b/c.json", true), ("**/*.json", "c.json", true), ("**", "a/b", true),
        ("data/train-*", "data/train-00000-of-00002.parquet", true),
        ("data/train-*", "data/test-0", false),
        ("*.json", "a.jsonl", false), ("a?c", "abc", true), ("a?c", "a/c", false),
        ("[a-c]x", "bx", true), ("[!a-c]x", "bx", false), ("{a,b}.csv", "b.csv", true),
        ("{a,b}.csv", "c.csv", false), ("en/**", "en/x/y.json", true), ("a*b*c", "aXbYbZc", true),
        ("a[b", "a[b", true), ("**/train/*", "x/train/y", true), ("**/train/*", "xtrain/y", false),
    ]) func `patterns`(pattern: String, path: String, matches: Bool) {
        #expect(Glob(pattern).matches(path) == matches)
    }

    @Test func `a pattern made to take for ever does not`() {
        let pattern = String(repeating: "*a", count: 30) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 2000)))
    }

    @Test func `--include patterns go across folders`() {
        #expect(Glob("*.json", crossesFolders: true).matches("a/b.json"))
    }

    @Test func `who has the same origin gets the token`() throws {
        func address(_ text: String) throws -> WebAddress { try #require(WebAddress(text)) }
        let hub = try address("https://huggingface.co/api")
        #expect(hub.hasSameOrigin(as: try address("HTTPS://HuggingFace.co:443/x")))
        for other in [
            "http://huggingface.co/", "https://huggingface.co:8443/",
            "https://huggingface.co.evil.org/",
            "https://cdn.huggingface.co/",
        ] { #expect(!hub.hasSameOrigin(as: try address(other))) }
        #expect(hub.redirected(to: "/a/b?c")?.description == "https://huggingface.co/a/b?c")
        #expect(hub.redirected(to: "//x.org/y")?.description == "https://x.org/y")
        #expect(hub.redirected(to: "other")?.description == "https://huggingface.co/other")
        for bad in ["ftp://x/", "https://user@x/", "https:///", "x", "https://a/\r\nX: y"] {
            #expect(WebAddress(bad) == nil)
        }
        #expect(WebAddress.escaped("a b/ü%.json") == "a%20b/%C3%BC%25.json")
    }

    @Test func `the rate is that of the last seconds`() {
        var rate = TransferRate()
        rate.add(0, at: 100)
        #expect(rate.bytesPerSecond == nil)
        rate.add(1000, at: 101)
        #expect(rate.bytesPerSecond == 1000)
        for second in 2...20 { rate.add(1000 + 500 * (second - 1), at: 100 + Double(second)) }
        #expect(rate.bytesPerSecond == 500)
        // What a restart throws away is no negative rate.
        rate.add(0, at: 121)
        #expect(rate.bytesPerSecond == nil)
        let progress = TransferProgress(doneBytes: 400, totalBytes: 1000, bytesPerSecond: 60)
        #expect(progress.secondsLeft == 10)
    }

    @Test func `settings are Hugging Face's variables`() throws {
        let folder = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(folder) }
        try FileSystem.createDirectories(folder)
        try AtomicFile.write(" hf_stored \n", to: folder + "/token")
        func settings(_ variables: [String: String]) throws -> HubSettings {
            try HubSettings { variables[$0] }
        }
        let plain = try settings(["HOME": "/home/ann"])
        #expect(plain.endpoint.description == "https://huggingface.co/")
        #expect(plain.cache == "/home/ann/.cache/huggingface/hub")
        #expect(plain.token == nil && !plain.isOffline)
        let other = try settings([
            "HF_HOME": folder, "HF_ENDPOINT": "https://mirror.example/hf/", "HF_HUB_OFFLINE": "1",
        ])
        #expect(other.cache == folder + "/hub")
        #expect(other.token == "hf_stored")
        #expect(other.endpoint.description == "https://mirror.example/hf")
        #expect(other.isOffline)
        #expect(try settings(["HF_HOME": folder, "HF_TOKEN": "hf_env"]).token == "hf_env")
        #expect(try settings(["HF_HUB_CACHE": "~/c", "HOME": "/h"]).cache == "/h/c")
        #expect(
            errorLine { _ = try settings(["HF_ENDPOINT": "mirror"]) }?
                .hasPrefix("HF_ENDPOINT: \"mirror\" is no http") == true)
        #expect(errorLine { _ = try settings(["HF_TOKEN": "a\r\nb"]) }?.contains("a\r\nb") == false)
    }

    @Test func `the cache lists, sizes and deletes`() throws {
        let place = try HubWorkplace()
        let weights = place.addModel()
        _ = try place.fetchModel()
        let cached = try #require(try HubCache(place.path).contents().first)
        #expect((cached.kind, cached.id) == (.model, "org/model"))
        #expect(cached.byteCount == weights.count + 25)
        #expect(cached.commits == [LoopbackHub.commit])
        #expect(cached.references.map(\.name) == ["main"])
        let repository = try HubRepository(.model, "org/model")
        #expect(try HubCache(place.path).delete(repository) == weights.count + 25)
        #expect(try HubCache(place.path).contents().isEmpty)
        #expect(!FileSystem.exists(place.repositoryFolder))
        #expect(try HubCache(place.path).delete(repository) == nil)
    }

    @Test(arguments: [
        (
            ["model.safetensors", "pytorch_model.bin", "config.json"],
            ["config.json", "model.safetensors"]
        ),
        (
            [
                "model.safetensors.index.json", "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors", "x.safetensors",
            ],
            [
                "model.safetensors.index.json", "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
            ]
        ),
    ]) func `what a model needs`(files: [String], chosen: [String]) throws {
        let place = try HubWorkplace()
        place.loopback.add(
            "models/org/model", .init(Dictionary(uniqueKeysWithValues: files.map { ($0, [1]) })))
        let listing = try place.hub().listing(HubRepository(.model, "org/model"))
        #expect(try ModelFileChoice.model(listing).sorted() == chosen.sorted())
    }

    @Test(arguments: [
        (
            ["pytorch_model.bin"],
            "org/model: has pickled weights only, which could run code when they are read; name a repository with safetensors"
        ),
        (
            ["m-q4.gguf"],
            "org/model: holds GGUF files, of which one is to be named; for example org/model/m-q4.gguf"
        ),
    ]) func `models that can't be used`(files: [String], line: String) throws {
        let place = try HubWorkplace()
        place.loopback.add(
            "models/org/model", .init(Dictionary(uniqueKeysWithValues: files.map { ($0, [1]) })))
        #expect(errorLine { _ = try place.fetchModel() } == line)
    }
}
