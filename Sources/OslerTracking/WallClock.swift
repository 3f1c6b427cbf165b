#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A moment of the calendar.
package struct WallClock: Sendable, Equatable {
    /// Since 1970, UTC.
    package let seconds: Int
    package let nanoseconds: Int

    package init(seconds: Int, nanoseconds: Int = 0) {
        (self.seconds, self.nanoseconds) = (seconds, nanoseconds)
    }

    package static var now: Self {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Self(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    package var fraction: Double { Double(seconds) + Double(nanoseconds) * 1e-9 }

    /// In the machine's time zone, as `strftime` has it.
    package func local(_ format: String) -> String {
        var (time, parts) = (time_t(seconds), tm())
        localtime_r(&time, &parts)
        return Self.text(format, parts)
    }

    /// `2026-11-25T01:02:03Z`
    package var iso8601: String {
        var (time, parts) = (time_t(seconds), tm())
        gmtime_r(&time, &parts)
        return Self.text("%Y-%m-%dT%H:%M:%SZ", parts)
    }

    private static func text(_ format: String, _ parts: tm) -> String {
        var parts = parts
        return String(unsafeUninitializedCapacity: 128) {
            $0.withMemoryRebound(to: CChar.self) { strftime($0.baseAddress!, 128, format, &parts) }
        }
    }
}

/// The machine's name in the network.
package var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    let text = String(
        decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return text.isEmpty ? "localhost" : text
}
