internal import OslerFormats

/// Requests to the hub: with the token for the hub alone, along redirects, again after failures that may pass.
///
/// Not for two threads at once.
final class HubClient {
    let settings: HubSettings
    private let http: HTTPClient

    init(_ settings: HubSettings) throws {
        self.settings = settings
        http = try HTTPClient()
    }

    /// An answer with status 200 or 206.
    ///
    /// - Parameters:
    ///   - followsToOtherHosts: false: a redirect elsewhere is the answer (`isRedirect`), as the hub answers HEAD for large files.
    ///   - networkTries: of connections that fail; nil: as many as usual.
    ///   - headers: asked before each try, for the range that is still missing.
    ///   - position: bytes that are there; more than ever before is progress, and the count of tries begins again.
    ///   - restart: the range that was asked for is refused.
    ///   - body: gets the pieces of a good answer's body; what it throws ends the request, and is thrown.
    /// - Throws: what the hub says in one line, or `UnreachableHub`, after the last try.
    func send(
        _ method: String, _ address: WebAddress, of repository: HubRepository, file: String? = nil,
        followsToOtherHosts: Bool = true, networkTries: Int? = nil,
        headers: () -> [(String, String)] = { [] },
        position: () -> Int = { 0 }, restart: () throws -> Void = {},
        body: @escaping (HTTPHead, UnsafeRawBufferPointer) throws -> Void = { _, _ in }
    ) throws -> HTTPHead {
        var (tries, furthest) = (1, position())
        while true {
            var wait = 0.0
            do {
                let head = try follow(method, address, headers(), followsToOtherHosts) {
                    guard [200, 206].contains($0.status) else { return }
                    try body($0, $1)
                }
                if [200, 206].contains(head.status) || head.isRedirect { return head }
                // The range starts behind the end: what is on the disk is not this file's beginning.
                if head.status == 416 { try restart() }
                guard Self.mayPass(head.status), tries < settings.tries else {
                    throw HubAnswer(head, repository, file, settings).error
                }
                wait = head.headers["retry-after"].flatMap { Double($0) } ?? Self.backOff(tries)
                guard wait <= Self.longestWait else {
                    throw HubAnswer(head, repository, file, settings).error
                }
            } catch let failure as TransferFailure {
                if position() > furthest { (tries, furthest) = (1, position()) }
                guard failure.mayPass, tries < networkTries ?? settings.tries else {
                    throw UnreachableHub(line: unreachable(failure, repository, file))
                }
                wait = Self.backOff(tries)
            }
            tries += 1
            settings.pause(max(0, wait))
        }
    }

    /// Most seconds that a `Retry-After` is obeyed for.
    private static let longestWait = 300.0

    /// 1, 2, 4, 8 seconds.
    private static func backOff(_ tries: Int) -> Double { Double(1 << min(tries - 1, 3)) }

    private static func mayPass(_ status: Int) -> Bool {
        [408, 416, 429, 500, 502, 503, 504].contains(status)
    }

    private func follow(
        _ method: String, _ start: WebAddress, _ headers: [(String, String)],
        _ followsToOtherHosts: Bool,
        _ body: (HTTPHead, UnsafeRawBufferPointer) throws -> Void
    ) throws -> HTTPHead {
        var address = start
        for _ in 0..<8 {
            var headers = headers + [("Accept-Encoding", "identity")]
            if let token = settings.token, address.hasSameOrigin(as: settings.endpoint) {
                headers.append(("Authorization", "Bearer " + token))
            }
            let head = try http.send(address, method: method, headers: headers, body: body)
            guard head.isRedirect else { return head }
            guard let location = head.headers["location"],
                let next = address.redirected(to: location)
            else { throw TransferFailure(reason: "a redirect to nowhere", mayPass: false) }
            if !followsToOtherHosts, !next.hasSameOrigin(as: address) { return head }
            guard address.scheme == "http" || next.scheme == "https" else {
                throw TransferFailure(
                    reason: "a redirect from https to http, \(next.host)", mayPass: false)
            }
            address = next
        }
        throw TransferFailure(reason: "too many redirects", mayPass: false)
    }

    private func unreachable(
        _ failure: TransferFailure, _ repository: HubRepository, _ file: String?
    ) -> InputError {
        InputError(
            "\(settings.endpoint.host) can't be reached: \(failure.reason)",
            file: repository.description, field: file,
            remedy:
                "check the network, HTTPS_PROXY and HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what is on the disk"
        )
    }
}

/// The network or the hub is not there; nobody has refused anything.
struct UnreachableHub: Error {
    let line: InputError
}

/// What an answer that is no success means, in one line.
struct HubAnswer {
    private let head: HTTPHead
    private let repository: HubRepository
    private let file: String?
    private let settings: HubSettings

    init(
        _ head: HTTPHead, _ repository: HubRepository, _ file: String?, _ settings: HubSettings
    ) {
        (self.head, self.repository, self.file, self.settings) = (head, repository, file, settings)
    }

    private var code: String { head.headers["x-error-code"] ?? "" }
    private var kind: String { repository.kind.rawValue }

    var error: InputError {
        InputError(problem, file: repository.description, field: file, remedy: remedy)
    }

    private var problem: String {
        let host = settings.endpoint.host
        switch (head.status, code) {
        case (_, "GatedRepo"):
            return "\(host) gives this \(kind) only to those who asked for access (\(head.status))"
        case (_, "RevisionNotFound"):
            return "no branch, tag or commit \"\(repository.revision)\" on \(host) (\(head.status))"
        case (401, _) where settings.token != nil && code != "RepoNotFound":
            return "\(host) does not accept the token (401)"
        case (401, _): return "no such public \(kind) on \(host) (401)"
        case (403, _): return "\(host) refuses access (403)"
        case (404, "EntryNotFound"): return "no such file on \(host) (404)"
        case (404, _):
            return file == nil
                ? "no such \(kind) on \(host) (404)" : "no such file on \(host) (404)"
        case (429, _):
            let wait = head.headers["retry-after"].map { ", wait \($0) s" } ?? ""
            return "\(host) has had too many requests (429\(wait))"
        default: return "\(host) answers with status \(head.status)"
        }
    }

    private var remedy: String? {
        let page =
            "\(settings.base)\(repository.kind == .dataset ? "datasets/" : "")\(repository.id)"
        switch (head.status, code) {
        case (_, "GatedRepo"):
            return "ask at \(page), then set HF_TOKEN to your token"
        case (_, "RevisionNotFound"): return "see \(page) for those that there are"
        case (401, _) where settings.token != nil && code != "RepoNotFound":
            return "set HF_TOKEN to a valid one, or remove it"
        case (401, _), (404, ""), (404, "RepoNotFound"):
            return settings.token == nil
                ? "check the name; if it is private or gated, set HF_TOKEN"
                : "check the name, and that the token may read it"
        case (403, _): return "check at \(page) that the token may read it"
        case (429, _): return "try again later; with HF_TOKEN set more is allowed"
        case (500..., _): return "try again later; what has arrived is kept"
        default: return nil
        }
    }
}
