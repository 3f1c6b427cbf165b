internal import OslerFormats
internal import OslerHub
internal import Synchronization

/// Plays the hub on the loopback interface: lists, describes and serves repositories as the real one does, large files by
/// a redirect to a second server, and misbehaves as it is told.
package final class LoopbackHub: Sendable {
    /// A repository's files; those in `large` come from the second server.
    package struct Repository: Sendable {
        package var files: [String: [UInt8]]
        package var large: Set<String>
        package var commit = LoopbackHub.commit
        /// What the hub says instead of serving: status, `X-Error-Code`.
        package var refusal: (status: Int, code: String)?
        /// Needs this token.
        package var token: String?

        package init(_ files: [String: [UInt8]], large: Set<String> = []) {
            (self.files, self.large) = (files, large)
        }
    }

    /// What goes wrong with a path's next answers.
    package enum Trouble: Sendable {
        case status(Int, headers: [String: String] = [:])
        /// The connection ends after so many bytes of this answer.
        case cut(after: Int)
        /// The range is ignored, and the whole file sent.
        case ignoresRange
        /// Other bytes of the same number.
        case damages
    }

    package static let commit = String(repeating: "0123456789abcdef", count: 3).prefix(40)
        .description

    private struct State {
        /// By `models/org/name`.
        var repositories: [String: Repository] = [:]
        /// By path in a repository, or `list`.
        var troubles: [String: [Trouble]] = [:]
    }

    private let state: Box
    package let server: LoopbackServer
    /// Where large files are.
    package let store: LoopbackServer

    private final class Box: Sendable {
        let state = Mutex(State())
    }

    package init() throws {
        let state = Box()
        self.state = state
        let store = try LoopbackServer { Self.storeAnswer($0, state) }
        self.store = store
        server = try LoopbackServer { [address = store.address] in
            Self.hubAnswer($0, state, store: address)
        }
    }

    package var address: String { server.address }

    /// - Parameter name: `models/org/name` or `datasets/org/name`.
    package func add(_ name: String, _ repository: Repository) {
        state.state.withLock { $0.repositories[name] = repository }
    }

    /// Answers to requests of `path` from now on, one after the other; then all is well again.
    package func trouble(_ path: String, _ troubles: [Trouble]) {
        state.state.withLock { $0.troubles[path] = troubles }
    }

    package static func etag(_ bytes: [UInt8], isLarge: Bool) -> String {
        var digest = Digest(isLarge ? .sha256 : .sha1)
        if !isLarge { digest.update("blob \(bytes.count)\0") }
        bytes.withUnsafeBytes { digest.update($0) }
        return digest.finish()
    }

    private static func hubAnswer(
        _ request: LoopbackServer.Request, _ state: Box, store: String
    ) -> LoopbackServer.Response {
        var target = request.target
        // A proxy is asked for whole addresses.
        if let mark = target.firstRange(of: "://") {
            target = "/" + target[mark.upperBound...].drop { $0 != "/" }.dropFirst()
        }
        var parts = target.split(separator: "/").map { String($0) }
        let lists = parts.first == "api"
        if lists { parts.removeFirst() }
        if parts.first != "datasets", parts.first != "models" { parts.insert("models", at: 0) }
        guard parts.count >= 5 else { return .init(404) }
        let name = parts[..<3].joined(separator: "/")
        let path = lists ? "list" : parts.dropFirst(5).joined(separator: "/")
        guard let repository = state.state.withLock({ $0.repositories[name] }) else {
            return .init(401, headers: ["X-Error-Code": "RepoNotFound"])
        }
        if let trouble = next(path, state, isRange: false),
            case .status(let code, let headers) = trouble
        {
            return .init(code, headers: headers)
        }
        if let token = repository.token, request.headers["authorization"] != "Bearer " + token {
            return .init(401)
        }
        if let refusal = repository.refusal {
            return .init(refusal.status, headers: ["X-Error-Code": refusal.code])
        }
        guard ["main", repository.commit].contains(parts[4]) else {
            return .init(404, headers: ["X-Error-Code": "RevisionNotFound"])
        }
        if lists {
            let files = repository.files.keys.sorted().map {
                JSON.object(["rfilename": .string($0)])
            }
            let json: JSON = ["sha": .string(repository.commit), "siblings": .array(files)]
            return .init(200, body: Array(json.serialized().utf8))
        }
        guard let bytes = repository.files[path] else {
            return .init(404, headers: ["X-Error-Code": "EntryNotFound"])
        }
        let isLarge = repository.large.contains(path)
        let etag = "\"\(etag(bytes, isLarge: isLarge))\""
        if isLarge {
            return .init(
                302,
                headers: [
                    "Location": "\(store)/\(name)/-/-/\(path)?signature=1", "X-Linked-Etag": etag,
                    "X-Linked-Size": "\(bytes.count)", "X-Repo-Commit": repository.commit,
                ])
        }
        return serve(
            bytes, request, next(path, state, isRange: true),
            ["ETag": etag, "X-Repo-Commit": repository.commit])
    }

    private static func storeAnswer(
        _ request: LoopbackServer.Request, _ state: Box
    ) -> LoopbackServer.Response {
        let parts = request.target.prefix { $0 != "?" }.split(separator: "/").map { String($0) }
        let (name, path) = (
            parts.prefix(3).joined(separator: "/"), parts.dropFirst(5).joined(separator: "/")
        )
        guard let bytes = state.state.withLock({ $0.repositories[name]?.files[path] }) else {
            return .init(404)
        }
        let trouble = next(path, state, isRange: true) ?? next(path, state, isRange: false)
        return serve(bytes, request, trouble, [:])
    }

    /// - Parameter isRange: whether the trouble is one of sending bytes, or a status.
    private static func next(_ path: String, _ state: Box, isRange: Bool) -> Trouble? {
        state.state.withLock { state in
            guard let first = state.troubles[path]?.first else { return nil }
            var sends = true
            if case .status = first { sends = false }
            guard sends == isRange else { return nil }
            state.troubles[path]?.removeFirst()
            return first
        }
    }

    private static func serve(
        _ bytes: [UInt8], _ request: LoopbackServer.Request, _ trouble: Trouble?,
        _ headers: [String: String]
    ) -> LoopbackServer.Response {
        var headers = headers
        headers["Content-Length"] = request.method == "HEAD" ? "\(bytes.count)" : nil
        var start = 0
        var ignoresRange = false
        var body = bytes
        var cut: Int?
        switch trouble {
        case .status(let code, let headers): return .init(code, headers: headers)
        case .cut(let count): cut = count
        case .ignoresRange: ignoresRange = true
        case .damages: body = bytes.map { ~$0 }
        case nil: break
        }
        if let range = request.headers["range"], !ignoresRange {
            start = Int(range.dropFirst("bytes=".count).prefix { $0 != "-" }) ?? 0
            guard start < bytes.count else { return .init(416) }
            headers["Content-Range"] = "bytes \(start)-\(bytes.count - 1)/\(bytes.count)"
        }
        return .init(
            start > 0 ? 206 : 200, headers: headers, body: Array(body[start...]), cutAfter: cut)
    }
}
