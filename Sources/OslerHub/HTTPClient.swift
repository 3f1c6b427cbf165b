internal import COslerCurl
internal import OslerFormats

/// Status and headers of an answer.
package struct HTTPHead: Sendable {
    package var status = 0
    /// By lower-case name.
    package var headers: [String: String] = [:]

    package var isRedirect: Bool { [301, 302, 303, 307, 308].contains(status) }
}

/// A connection that broke, or never came about: `reason` is curl's.
package struct TransferFailure: Error {
    package let reason: String
    /// Whether another try may help: not with a wrong certificate or a malformed address.
    package let mayPass: Bool
}

/// HTTP over libcurl, one request at a time; connections are kept between them. Proxies come from the environment as curl
/// reads it: `HTTPS_PROXY`, `http_proxy`, `ALL_PROXY`, `NO_PROXY`. Follows no redirect by itself.
///
/// Not for two threads at once.
package final class HTTPClient {
    private let curl: UnsafeMutableRawPointer

    /// - Throws: `UnreachableHub` when libcurl is not there.
    package init() throws {
        if let problem = Self.loadingProblem {
            throw UnreachableHub(
                line: InputError(
                    "nothing can be downloaded: \(problem)",
                    remedy: "install libcurl (Debian, Ubuntu: apt install libcurl4), "
                        + "or bring the files here yourself"))
        }
        guard let curl = osler_curl_new() else {
            throw UnreachableHub(line: InputError("libcurl does not start"))
        }
        self.curl = curl
    }

    deinit { osler_curl_free(curl) }

    private static let loadingProblem: String? = osler_curl_load().map { String(cString: $0) }

    /// Sends a request and gives what comes to `body`, piece by piece.
    ///
    /// - Parameter body: called with the head and a piece; what it throws ends the transfer.
    /// - Throws: `TransferFailure`, and whatever `body` throws.
    package func send(
        _ address: WebAddress, method: String = "GET", headers: [(String, String)] = [],
        body: (HTTPHead, UnsafeRawBufferPointer) throws -> Void = { _, _ in }
    ) throws -> HTTPHead {
        osler_curl_reset(curl)
        let lines = headers.reduce(nil as UnsafeMutableRawPointer?) {
            osler_curl_append($0, "\($1.0): \($1.1)") ?? $0
        }
        defer { osler_curl_free_lines(lines) }
        set(.address, address.description)
        if method == "HEAD" { set(.noBody, 1) }
        osler_curl_set_pointer(curl, Option.headers.rawValue, lines)
        for (option, value) in Self.integers { set(option, value) }
        for (option, value) in Self.texts { set(option, value) }
        return try withoutActuallyEscaping(body) { body in
            let transfer = Transfer(body)
            let context = Unmanaged.passUnretained(transfer).toOpaque()
            for (function, data) in [
                (Option.headerFunction, Option.headerData), (.bodyFunction, .bodyData),
            ] {
                osler_curl_set_sink(
                    curl, function.rawValue, function == .bodyFunction ? takeBody : takeHeader)
                osler_curl_set_pointer(curl, data.rawValue, context)
            }
            let code = withExtendedLifetime(transfer) { osler_curl_perform(curl) }
            if let error = transfer.error { throw error }
            guard code == 0 else {
                throw TransferFailure(
                    reason: String(cString: osler_curl_reason(code)),
                    mayPass: !Self.lasting.contains(code))
            }
            return transfer.head
        }
    }

    private func set(_ option: Option, _ value: Int) {
        osler_curl_set_integer(curl, option.rawValue, value)
    }

    private func set(_ option: Option, _ value: String) {
        osler_curl_set_text(curl, option.rawValue, value)
    }

    /// Numbers of `CURLOPT_...`.
    private enum Option: Int32 {
        case noBody = 44, connectTimeout = 78, lowSpeedLimit = 19, lowSpeedTime = 20
        case noSignal = 99, protocols = 181
        case address = 10002, headers = 10023, bodyData = 10001, headerData = 10029
        case userAgent = 10018, certificates = 10065
        case bodyFunction = 20011, headerFunction = 20079
    }

    /// Http and https alone; a connection within 20 s, then some byte every 60 s.
    private static let integers: [(Option, Int)] = [
        (.noSignal, 1), (.protocols, 1 | 2), (.connectTimeout, 20), (.lowSpeedLimit, 1),
        (.lowSpeedTime, 60),
    ]

    private static let texts: [(Option, String)] = {
        let names = ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
        let bundle = names.lazy.compactMap { Environment.value($0) }.first
        return [(.userAgent, "osler")] + (bundle.map { [(.certificates, $0)] } ?? [])
    }()

    /// `CURLE_...` that another try does not change: protocol, address, certificates.
    private static let lasting: Set<Int32> = [1, 3, 4, 51, 58, 59, 60, 66, 77, 83, 90, 91]
}

/// What the sinks fill while a transfer runs, on the thread that started it.
private final class Transfer {
    var head = HTTPHead()
    var error: (any Error)?
    private let body: (HTTPHead, UnsafeRawBufferPointer) throws -> Void

    init(_ body: @escaping (HTTPHead, UnsafeRawBufferPointer) throws -> Void) { self.body = body }

    /// A header line. A status line starts a new head: before it came a proxy's, or an interim one.
    func take(header line: UnsafeRawBufferPointer) {
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            head = HTTPHead(
                status: text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0)
        } else if let colon = text.firstIndex(of: ":") {
            let value = text[text.index(after: colon)...]
            head.headers[text[..<colon].lowercased()] = value.trimmed
        }
    }

    func take(body piece: UnsafeRawBufferPointer) -> Bool {
        do {
            try body(head, piece)
            return true
        } catch {
            self.error = error
            return false
        }
    }
}

private let takeHeader: osler_curl_sink = { bytes, size, count, context in
    guard let bytes, let context else { return 0 }
    Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
        .take(header: UnsafeRawBufferPointer(start: bytes, count: size * count))
    return size * count
}

private let takeBody: osler_curl_sink = { bytes, size, count, context in
    guard let bytes, let context else { return 0 }
    let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.take(body: UnsafeRawBufferPointer(start: bytes, count: size * count))
        ? size * count : 0
}
