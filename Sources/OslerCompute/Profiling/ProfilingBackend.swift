internal import Synchronization

/// Another backend, with every operation measured: calls, seconds, needed flops and bytes.
///
/// It costs two readings of the clock and one of a table an operation, below a microsecond. The time of an operation is
/// that of its call, and for a card, which only queues work there, that until the card is done with it: a profile shows
/// what each operation takes alone, at the price of the host's and the card's work not overlapping.
package final class ProfilingBackend: Backend {
    /// The one that computes.
    package let base: any Backend
    private let clock: @Sendable () -> Double
    private let record: Mutex<Record>

    private struct Record {
        var start: Double
        var entries: [ProfiledOperation: Profile.Entry] = [:]
    }

    /// - Parameter clock: seconds from any origin.
    package init(
        _ base: any Backend, clock: @escaping @Sendable () -> Double = { monotonicSeconds() }
    ) {
        (self.base, self.clock) = (base, clock)
        record = Mutex(Record(start: clock()))
    }

    package var name: String { base.name }
    package var precision: Precision { base.precision }
    package var usesHostMemory: Bool { base.usesHostMemory }

    /// Forgets what was measured and begins now.
    package func restart() {
        let now = clock()
        record.withLock { $0 = Record(start: now) }
    }

    /// What was measured since the beginning.
    package var profile: Profile {
        let now = clock()
        return record.withLock { record in
            // Of equal times the one that came into the table by its hash must not decide.
            let entries = record.entries.values.sorted {
                ($1.seconds, $0.calls, $0.operation.sortKey)
                    < ($0.seconds, $1.calls, $1.operation.sortKey)
            }
            return Profile(entries: entries, seconds: now - record.start)
        }
    }

    /// Runs `body` and counts it, also when it throws.
    func measure<Result>(
        _ operation: BackendOperation, of product: ProfiledProduct? = nil, _ cost: OperationCost,
        _ body: () throws -> Result
    ) rethrows -> Result {
        let start = clock()
        defer {
            let seconds = clock() - start
            let key = ProfiledOperation(operation, product)
            record.withLock {
                $0.entries[key, default: Profile.Entry(operation: key)]
                    .count(seconds: seconds, cost)
            }
        }
        let result = try body()
        // A failure stays with the card, which throws it again where the caller looks.
        if !base.usesHostMemory { try? base.synchronize() }
        return result
    }
}

extension Profile.Entry {
    mutating func count(seconds: Double, _ cost: OperationCost) {
        calls += 1
        self.seconds += seconds
        self.cost.add(cost)
    }
}

extension ProfiledOperation {
    fileprivate var sortKey: String { "\(self)" }
}

extension Backend {
    /// The CPU backend that does the work, where one does.
    package var cpu: CPUBackend? {
        self as? CPUBackend ?? (self as? ProfilingBackend)?.base.cpu
    }
}
