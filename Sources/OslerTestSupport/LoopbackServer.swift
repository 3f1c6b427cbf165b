internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import Synchronization

/// A small HTTP server on the loopback interface: a thread a connection, one request each.
package final class LoopbackServer: Sendable {
    package struct Request: Sendable {
        package var method = ""
        /// As it stands in the request line: a path, or a whole address when the client takes this for a proxy.
        package var target = ""
        /// By lower-case name.
        package var headers: [String: String] = [:]
    }

    package struct Response: Sendable {
        package var status: Int
        package var headers: [String: String]
        package var body: [UInt8]
        /// Closes the connection after so many bytes of the body.
        package var cutAfter: Int?

        package init(
            _ status: Int, headers: [String: String] = [:], body: [UInt8] = [], cutAfter: Int? = nil
        ) {
            (self.status, self.headers, self.body) = (status, headers, body)
            self.cutAfter = cutAfter
        }
    }

    package let port: UInt16
    private let listener: CInt
    private let answer: @Sendable (Request) -> Response
    private let received = Mutex<[Request]>([])

    /// - Parameter answer: called on the connections' threads.
    package init(answer: @escaping @Sendable (Request) -> Response) throws {
        self.answer = answer
        #if canImport(Glibc)
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let listener = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, $0, &size) == 0
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        guard isBound else { throw InputError("no loopback server") }
        WorkerThread { [weak self] in
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0, errno == EINTR || errno == ECONNABORTED { continue }
                guard connection >= 0 else { break }
                guard let self else {
                    close(connection)
                    continue
                }
                WorkerThread { self.serve(connection) }?.detach()
            }
            // Closed here alone: its number may belong to another server's socket right away.
            close(listener)
        }?.detach()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
    }

    package var address: String { "http://127.0.0.1:\(port)" }

    /// What has been asked so far.
    package var requests: [Request] { received.withLock { $0 } }
    package func forgetRequests() { received.withLock { $0 = [] } }

    private func serve(_ connection: CInt) {
        defer { close(connection) }
        guard let request = read(connection) else { return }
        received.withLock { $0.append(request) }
        let response = answer(request)
        var headers = response.headers
        headers["Content-Length"] = headers["Content-Length"] ?? "\(response.body.count)"
        headers["Connection"] = "close"
        let lines = headers.map { "\($0): \($1)\r\n" }.joined()
        send("HTTP/1.1 \(response.status) Answer\r\n\(lines)\r\n".utf8.map { $0 }, connection)
        guard request.method != "HEAD" else { return }
        send(Array(response.body.prefix(response.cutAfter ?? .max)), connection)
    }

    private func read(_ connection: CInt) -> Request? {
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 4096)
        while !bytes.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let count = recv(connection, &block, block.count, 0)
            guard count > 0 else { return nil }
            bytes += block[..<count]
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        var request = Request()
        let parts = lines.first?.split(separator: " ").map { String($0) } ?? []
        guard parts.count == 3 else { return nil }
        (request.method, request.target) = (parts[0], parts[1])
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            request.headers[line[..<colon].lowercased()] = String(value)
        }
        return request
    }

    private func send(_ bytes: [UInt8], _ connection: CInt) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                #if canImport(Glibc)
                    Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                #else
                    Darwin.send(connection, $0.baseAddress, $0.count, 0)
                #endif
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
