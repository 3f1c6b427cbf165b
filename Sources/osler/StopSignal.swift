#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import Synchronization

private let requested = Atomic<Bool>(false)

/// SIGINT and SIGTERM ask the run to finish its step and save; a second one ends the process at once.
struct StopSignal {
    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                if requested.exchange(true, ordering: .relaxed) { _exit(128 + number) }
            }
        }
    }

    var isRequested: Bool { requested.load(ordering: .relaxed) }
}
