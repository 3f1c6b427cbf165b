internal import ArgumentParser
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import Synchronization

private let requested = Atomic<Bool>(false)

/// SIGINT and SIGTERM ask the run to finish its step and save; a second one ends the process at once. A reader of its
/// output that goes away doesn't stop it; a file that outgrows the shell's limit is an error like a full disk.
struct StopSignal {
    init() {
        for number in [SIGPIPE, SIGXFSZ] { signal(number, SIG_IGN) }
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                if requested.exchange(true, ordering: .relaxed) { _exit(128 + number) }
            }
        }
    }

    var isRequested: Bool { requested.load(ordering: .relaxed) }

    /// - Throws: an exit code, when asked to stop: what was not kept yet is removed.
    func check() throws {
        if isRequested { throw ExitCode(130) }
    }

    /// Gives the signals their usual meaning back.
    func end() {
        for number in [SIGINT, SIGTERM, SIGPIPE, SIGXFSZ] { signal(number, SIG_DFL) }
        requested.store(false, ordering: .relaxed)
    }
}
