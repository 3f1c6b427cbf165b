#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats

/// Processors that are online.
package func processorCount() -> Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

/// `body(0)`, `body(1)`, ... in order, worked out by `threads` threads in consecutive shares, so
/// that the result does not depend on their number.
///
/// - Throws: what the lowest index threw.
package func parallelMap<Value: Sendable>(
    count: Int, threads: Int, _ body: @escaping @Sendable (Int) throws -> Value
) throws -> [Value] {
    let shareCount = max(1, min(threads, count))
    let shares = (0..<shareCount).map { share in
        ShareOfWork(count * share / shareCount..<count * (share + 1) / shareCount, body)
    }
    let started = shares.dropFirst().map { share in WorkerThread { share.run() } }
    shares[0].run()
    for (share, thread) in zip(shares.dropFirst(), started) {
        if let thread { thread.join() } else { share.run() }
    }
    return try shares.flatMap { try $0.result.get() }
}

/// One thread's part.
///
/// `@unchecked Sendable`: `result` is written by the one thread that runs the share, and read after
/// it was joined.
private final class ShareOfWork<Value: Sendable>: @unchecked Sendable {
    private let range: Range<Int>
    private let body: @Sendable (Int) throws -> Value
    private(set) var result: Result<[Value], any Error> = .success([])

    init(_ range: Range<Int>, _ body: @escaping @Sendable (Int) throws -> Value) {
        (self.range, self.body) = (range, body)
    }

    func run() { result = Result { try range.map(body) } }
}
