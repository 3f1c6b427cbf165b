internal import COslerKernels

/// The fixed threads of a CPU backend; see `Pool.h` for how items are handed out.
///
/// `@unchecked Sendable`: the C pool synchronises itself and stops the process when two threads run it at once.
package final class ThreadPool: @unchecked Sendable {
    let handle: OpaquePointer

    /// As many cores as this process may run on.
    package static var availableCores: Int { Int(ok_available_cores()) }

    /// - Throws: `CPUBackendError` when the system gives no more threads.
    package init(threads: Int) throws(CPUBackendError) {
        guard threads >= 1, threads <= 4095, let pool = ok_pool_create(Int32(threads)) else {
            throw CPUBackendError("can't start \(threads) threads; ask for 1 to 4095")
        }
        handle = pool
    }

    deinit { ok_pool_destroy(handle) }

    package var threads: Int { Int(ok_pool_threads(handle)) }

    /// Pins the calling thread to the first core: for the one thread that uses this pool for the rest of its life.
    package func pinCurrentThread() { ok_pool_pin_caller(handle) }

    /// Runs `body(item, thread)` for every item below `count`, in any order, on any thread. Items write to places of
    /// their own; `thread` (below `threads`) names scratch of that thread.
    package func run(_ count: Int, _ body: (_ item: Int, _ thread: Int) -> Void) {
        typealias Body = (Int, Int) -> Void
        withoutActuallyEscaping(body) { escaping in
            var body: Body = escaping
            withUnsafeMutablePointer(to: &body) { context in
                ok_parallel(
                    handle, count,
                    { context, item, thread in
                        context!.assumingMemoryBound(to: Body.self).pointee(item, Int(thread))
                    }, context)
            }
        }
    }

    /// Runs `body(range, thread)` over consecutive pieces of `0 ..< count`. Pieces depend on `count` and `grain` only,
    /// never on threads: `grain` elements each, the last one shorter.
    package func runPieces(
        of count: Int, grain: Int, _ body: (_ range: Range<Int>, _ thread: Int) -> Void
    ) {
        precondition(grain > 0)
        run((count + grain - 1) / grain) { item, thread in
            body(item * grain..<min(count, (item + 1) * grain), thread)
        }
    }
}
