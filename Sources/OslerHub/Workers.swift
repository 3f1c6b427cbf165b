#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats
internal import Synchronization

/// Threads that take items from one list, while the caller waits and looks on.
///
/// `@unchecked Sendable`: `body` is called by several threads and takes what they share under locks of its own.
final class Workers<State>: @unchecked Sendable {
    private struct Progress {
        var next = 0
        var running = 0
        var failure: (any Error)?
    }

    private let count: Int
    private let makeState: () throws -> State
    private let body: (State, Int) throws -> Void
    private let progress = Mutex(Progress())

    /// - Parameters:
    ///   - makeState: what each thread has to itself.
    ///   - body: works on an item; what it throws ends the whole.
    init(
        count: Int, makeState: @escaping () throws -> State,
        body: @escaping (State, Int) throws -> Void
    ) {
        (self.count, self.makeState, self.body) = (count, makeState, body)
    }

    /// Whether one has failed: the others stop as soon as they can.
    var hasFailed: Bool { progress.withLock { $0.failure != nil } }

    /// Runs `threads` of them; `look` is called now and then on the caller's thread.
    func run(threads: Int, look: () throws -> Void) throws {
        let wanted = max(1, min(threads, count))
        var started: [WorkerThread] = []
        progress.withLock { $0.running = wanted }
        for _ in 0..<wanted {
            guard let thread = WorkerThread({ self.work() }) else {
                progress.withLock { $0.running -= 1 }
                continue
            }
            started.append(thread)
        }
        if started.isEmpty {
            progress.withLock { $0.running += 1 }
            work()
        }
        var problem: (any Error)?
        while progress.withLock({ $0.running }) > 0 {
            usleep(20_000)
            guard problem == nil else { continue }
            do {
                try look()
            } catch {
                problem = error
                fail(error)
            }
        }
        for thread in started { thread.join() }
        if let failure = progress.withLock({ $0.failure }) { throw failure }
    }

    private func fail(_ error: any Error) {
        progress.withLock { if $0.failure == nil { $0.failure = error } }
    }

    private func work() {
        do {
            let state = try makeState()
            while let item = take() { try body(state, item) }
        } catch {
            fail(error)
        }
        progress.withLock { $0.running -= 1 }
    }

    private func take() -> Int? {
        progress.withLock { progress in
            guard progress.next < count, progress.failure == nil else { return nil }
            defer { progress.next += 1 }
            return progress.next
        }
    }
}
