import OslerFormats
import OslerHub
import OslerTestSupport
import Testing

@Suite struct `Refusals and failures` {
    @Test func `an unknown repository`() throws {
        let place = try HubWorkplace()
        #expect(
            try line(place)
                == "org/model: no such public model on HOST (401); check the name; if it is private or gated, set HF_TOKEN"
        )
        #expect(
            try line(place) { $0.token = "t" }
                == "org/model: no such public model on HOST (401); check the name, and that the token may read it"
        )
    }

    @Test func `a token that is refused`() throws {
        let place = try HubWorkplace()
        place.addModel { $0.token = "right" }
        #expect(
            try line(place) { $0.token = "wrong" }
                == "org/model: HOST does not accept the token (401); set HF_TOKEN to a valid one, or remove it"
        )
    }

    @Test(arguments: [
        (
            403, "GatedRepo",
            "org/model: HOST gives this model only to those who asked for access (403); "
                + "ask at http://HOST/org/model, then set HF_TOKEN to your token"
        ),
        (
            403, "",
            "org/model: HOST refuses access (403); check at http://HOST/org/model that the token may read it"
        ),
        (
            404, "RepoNotFound",
            "org/model: no such model on HOST (404); check the name; if it is private or gated, set HF_TOKEN"
        ),
        (418, "", "org/model: HOST answers with status 418"),
    ]) func `refusals`(status: Int, code: String, expected: String) throws {
        let place = try HubWorkplace()
        place.addModel { $0.refusal = (status, code) }
        #expect(try line(place) == expected)
        #expect(place.pauses.isEmpty)
    }

    @Test func `an unknown revision`() throws {
        let place = try HubWorkplace()
        place.addModel()
        let found = errorLine { _ = try place.fetchModel(revision: "v9") }
        #expect(found?.contains(#"org/model@v9: no branch, tag or commit "v9" on "#) == true)
    }

    @Test func `a rate limit is waited for as long as it says`() throws {
        let place = try HubWorkplace()
        place.addModel()
        let busy = LoopbackHub.Trouble.status(429, headers: ["Retry-After": "7"])
        place.loopback.trouble("list", [busy, .status(503)])
        _ = try place.fetchModel()
        #expect(place.pauses == [7, 2])
    }

    @Test func `a rate limit that lasts`() throws {
        let place = try HubWorkplace()
        place.addModel()
        place.loopback.trouble("list", [.status(429, headers: ["Retry-After": "3600"])])
        #expect(
            try line(place)
                == "org/model: HOST has had too many requests (429, wait 3600 s); try again later; "
                + "with HF_TOKEN set more is allowed")
        #expect(place.pauses.isEmpty)
    }

    @Test func `a server that stays broken`() throws {
        let place = try HubWorkplace()
        place.addModel()
        place.loopback.trouble("list", .init(repeating: .status(500), count: 9))
        #expect(
            try line(place)
                == "org/model: HOST answers with status 500; try again later; what has arrived is kept"
        )
        #expect(place.pauses == [1, 2, 4, 8])
    }

    @Test func `without a network what is on the disk is used, and said so`() throws {
        let place = try HubWorkplace()
        place.addModel()
        let nobody = try place.address("http://127.0.0.1:1")
        let line = errorLine { _ = try place.fetchModel { $0.endpoint = nobody } }
        #expect(line?.hasPrefix("org/model: 127.0.0.1:1 can't be reached: ") == true)
        #expect(line?.contains("; check the network, HTTPS_PROXY and HF_ENDPOINT") == true)
        let folder = try place.fetchModel()
        #expect(try place.fetchModel { $0.endpoint = nobody } == folder)
        guard case .usesCache? = place.events.last else {
            return #expect(Bool(false), "nothing was said")
        }
    }

    @Test func `what the hub refuses is not hidden by the cache`() throws {
        let place = try HubWorkplace()
        place.addModel()
        _ = try place.fetchModel()
        place.addModel { $0.refusal = (403, "GatedRepo") }
        #expect(try line(place)?.contains("(403)") == true)
    }

    @Test func `offline asks nobody`() throws {
        let place = try HubWorkplace()
        place.addModel()
        let line = errorLine { _ = try place.fetchModel { $0.isOffline = true } }
        #expect(
            line
                == "org/model: not on this machine, and HF_HUB_OFFLINE or local_files_only forbids "
                + "the network; fetch it first: osler download org/model")
        #expect(place.loopback.server.requests.isEmpty)
        let folder = try place.fetchModel()
        place.loopback.server.forgetRequests()
        #expect(try place.fetchModel { $0.isOffline = true } == folder)
        let commit = LoopbackHub.commit
        #expect(try place.fetchModel(revision: commit) { $0.isOffline = true } == folder)
        #expect(place.loopback.server.requests.isEmpty)
    }

    @Test(arguments: ["../../evil", "/etc/passwd", "a//b", "a/../b", "a\\b", "."])
    func `names that lead out of the folder are refused`(name: String) throws {
        let place = try HubWorkplace()
        place.addModel { $0.files[name] = [1] }
        #expect(
            try line(place)
                == "org/model: HOST lists a file whose name is none; check that HF_ENDPOINT is a Hugging Face hub"
        )
    }

    @Test(arguments: [
        ("{", "does not answer with a commit and files"),
        (#"{"sha": "../x", "siblings": []}"#, "does not answer with a commit and files"),
        ("<html>", "does not answer with a commit and files"),
    ]) func `what is no hub`(answer: String, problem: String) throws {
        let place = try HubWorkplace()
        let server = try LoopbackServer { _ in .init(200, body: Array(answer.utf8)) }
        let address = try place.address(server.address)
        let line = errorLine { _ = try place.fetchModel { $0.endpoint = address } }
        #expect(line?.contains(problem) == true)
    }

    @Test(arguments: ["", "../../up", "a/b", "\"..\""])
    func `an ETag that is no name of a file is refused`(etag: String) throws {
        let place = try HubWorkplace()
        let commit = LoopbackHub.commit
        let server = try LoopbackServer { request in
            request.method == "HEAD"
                ? .init(200, headers: ["ETag": etag, "Content-Length": "3"])
                : .init(
                    200,
                    body: Array(
                        #"{"sha": "\#(commit)", "siblings": [{"rfilename": "config.json"}]}"#.utf8))
        }
        let hub = try place.hub {
            if let address = WebAddress(server.address) { $0.endpoint = address }
        }
        let listing = try hub.listing(HubRepository(.model, "org/model"))
        let line = errorLine { _ = try hub.fetch(["config.json"], of: listing) }
        #expect(line?.contains("gives no ETag") == true)
    }

    @Test func `redirects that don't end`() throws {
        let place = try HubWorkplace()
        let server = try LoopbackServer { .init(302, headers: ["Location": $0.target + "x"]) }
        let address = try place.address(server.address)
        let line = errorLine { _ = try place.fetchModel { $0.endpoint = address } }
        #expect(line?.contains("too many redirects") == true)
        #expect(server.requests.count == 8)
    }

    @Test(arguments: ["", "a/b/c", "../x", "a b", "a/", "-a/b", "a..b/c", "ä/b"])
    func `what is no repository's name`(name: String) {
        #expect(!HubRepository.isName(name))
        #expect(errorLine { _ = try HubRepository(.model, name) }?.contains("no name") == true)
    }

    /// The error of fetching the model, with the server's name replaced.
    private func line(
        _ place: HubWorkplace, _ change: (inout HubSettings) -> Void = { _ in }
    ) throws -> String? {
        errorLine { _ = try place.fetchModel("org/model", change) }?.replacing(
            "127.0.0.1:\(place.loopback.server.port)", with: "HOST")
    }
}
