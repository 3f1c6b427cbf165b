#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What the operating system says about this process and machine. Linux reads `/proc`; the Darwin twin uses `getrusage`
/// and is untested.
package enum ProcessStatus {
    /// The most memory that this process has held, in bytes.
    package static var peakResidentBytes: Int {
        #if os(Linux)
            return status("VmHWM:") ?? usagePeak * 1024
        #else
            return usagePeak
        #endif
    }

    /// The memory that this process holds now, in bytes.
    package static var residentBytes: Int {
        #if os(Linux)
            return status("VmRSS:") ?? usagePeak * 1024
        #else
            return usagePeak
        #endif
    }

    private static var usagePeak: Int {
        var usage = rusage()
        #if os(Linux)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        return usage.ru_maxrss
    }

    /// Threads of this process; nil where the system doesn't say.
    package static var threadCount: Int? {
        #if os(Linux)
            return number("/proc/self/status", "Threads:")
        #else
            return nil
        #endif
    }

    #if os(Linux)
        private static func status(_ key: String) -> Int? { kilobytes("/proc/self/status", key) }

        private static func kilobytes(_ path: String, _ key: String) -> Int? {
            number(path, key).map { $0 * 1024 }
        }

        /// The number behind `key` in a file of `/proc`.
        private static func number(_ path: String, _ key: String) -> Int? {
            guard let file = fopen(path, "r") else { return nil }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 256)
            while fgets(&line, Int32(line.count), file) != nil {
                let text = String(
                    decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                guard text.hasPrefix(key) else { continue }
                return text.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
            }
            return nil
        }
    #endif

    #if os(Linux)
        /// What the control group of a container still allows (version 2); nil without a limit.
        private static var controlGroupBytes: Int? {
            func read(_ name: String) -> Int? {
                guard let file = fopen("/sys/fs/cgroup/" + name, "r") else { return nil }
                defer { fclose(file) }
                var line = [CChar](repeating: 0, count: 64)
                guard fgets(&line, Int32(line.count), file) != nil else { return nil }
                let digits = line.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:))
                return Int(String(decoding: digits, as: UTF8.self))
            }
            guard let limit = read("memory.max"), let used = read("memory.current") else {
                return nil
            }
            return max(0, limit - used)
        }
    #endif

    /// Memory that this machine, or the container's limit, could still give, in bytes; nil when it won't say.
    package static var availableBytes: Int? {
        #if os(Linux)
            let machine = kilobytes("/proc/meminfo", "MemAvailable:")
            guard let group = controlGroupBytes else { return machine }
            return machine.map { min($0, group) } ?? group
        #else
            return nil
        #endif
    }
}
