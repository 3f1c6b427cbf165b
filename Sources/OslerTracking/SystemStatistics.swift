internal import OslerTraining
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What trackers show of the machine, under wandb's names. From `/proc`; where there is none, only this process's memory.
struct SystemStatistics {
    /// Ticks that all processors were busy, and all ticks.
    private var ticks: (busy: Double, all: Double)?

    /// Names and values now; the share of the processors is that since the last call.
    mutating func sample() -> [(name: String, value: Double)] {
        let mebibyte = 1_048_576.0
        let resident = Double(ProcessStatus.residentBytes)
        var values: [(String, Double)] = [("proc.memory.rssMB", resident / mebibyte)]
        if let total = Self.memoryBytes {
            values.append(("proc.memory.percent", resident / total * 100))
            if let available = ProcessStatus.availableBytes.map(Double.init) {
                values.append(("proc.memory.availableMB", available / mebibyte))
                values.append(("memory_percent", (1 - available / total) * 100))
            }
        }
        if let threads = ProcessStatus.threadCount {
            values.append(("proc.cpu.threads", Double(threads)))
        }
        if let now = Self.processorTicks {
            if let ticks, now.all > ticks.all {
                values.append(("cpu", (now.busy - ticks.busy) / (now.all - ticks.all) * 100))
            }
            ticks = now
        }
        var disk = statvfs()
        if statvfs("/", &disk) == 0, disk.f_blocks > 0 {
            let used = Double(disk.f_blocks - disk.f_bfree) * Double(disk.f_frsize)
            let usable = used + Double(disk.f_bavail) * Double(disk.f_frsize)
            values.append(("disk./.usagePercent", used / usable * 100))
            values.append(("disk./.usageGB", used / mebibyte / 1024))
        }
        return values
    }

    /// All the memory of the machine.
    static var memoryBytes: Double? {
        let (pages, size) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
        return pages > 0 && size > 0 ? Double(pages) * Double(size) : nil
    }

    static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    private static var processorTicks: (busy: Double, all: Double)? {
        guard let file = fopen("/proc/stat", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let text = String(
            decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        // cpu  user nice system idle iowait irq softirq steal
        let numbers = text.split(whereSeparator: \.isWhitespace).dropFirst().prefix(8)
            .compactMap { Double($0) }
        guard numbers.count == 8 else { return nil }
        let all = numbers.reduce(0, +)
        return (all - numbers[3] - numbers[4], all)
    }
}
