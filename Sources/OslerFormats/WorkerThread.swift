#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A thread of the system that runs one piece of work. It is to be joined or detached.
package final class WorkerThread {
    private let handle: pthread_t

    /// What `pthread_create` can carry: a pointer to a class that is not generic.
    private final class Carrier {
        let work: @Sendable () -> Void
        init(_ work: @escaping @Sendable () -> Void) { self.work = work }
    }

    /// nil when the system gives no thread; the work is not done then.
    package init?(_ work: @escaping @Sendable () -> Void) {
        let carrier = Unmanaged.passRetained(Carrier(work))
        #if canImport(Glibc)
            var thread = pthread_t()
            let failure = pthread_create(
                &thread, nil,
                { argument in
                    if let argument {
                        Unmanaged<Carrier>.fromOpaque(argument).takeRetainedValue().work()
                    }
                    return nil
                }, carrier.toOpaque())
            let started = failure == 0 ? thread : nil
        #else
            var thread: pthread_t?
            let failure = pthread_create(
                &thread, nil,
                { argument in
                    Unmanaged<Carrier>.fromOpaque(argument).takeRetainedValue().work()
                    return nil
                }, carrier.toOpaque())
            let started = failure == 0 ? thread : nil
        #endif
        guard let started else {
            carrier.release()
            return nil
        }
        handle = started
    }

    /// Waits until the work is done.
    package func join() { pthread_join(handle, nil) }

    /// Lets it run on by itself.
    package func detach() { pthread_detach(handle) }
}
