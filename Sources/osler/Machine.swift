internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What a run was made on.
enum Machine {
    /// The processor's name, as far as the system says it.
    static var processor: String {
        let lines = (try? FileSystem.readText("/proc/cpuinfo"))?.split(separator: "\n") ?? []
        let name = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
        return name.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
    }

    static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// Kernel and architecture.
    static var system: String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown system" }
        func text<Field>(_ field: Field) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        return [text(names.sysname), text(names.release), text(names.machine)]
            .joined(separator: " ")
    }
}
