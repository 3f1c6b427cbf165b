internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Standard output for programs: in large pieces, and an error when it can't be written (a full disk). A reader that goes
/// away ends the process quietly, as with every filter (SIGPIPE).
final class Output {
    private var buffer: [UInt8] = []

    func write(_ text: String) throws {
        buffer += text.utf8
        if buffer.count >= 1 << 16 { try flush() }
    }

    func line(_ text: String) throws {
        try write(text)
        try write("\n")
    }

    /// `name: [...]`, the one field of a line of JSON. Nothing else of a program that makes ids takes as long as
    /// their digits, so they are put here without a string for each.
    func line(_ name: String, _ ids: [Int32]) throws {
        try write("{\"\(name)\": [")
        buffer.reserveCapacity(buffer.count + 12 * ids.count)
        for (index, id) in ids.enumerated() {
            if index > 0 {
                buffer.append(UInt8(ascii: ","))
                buffer.append(UInt8(ascii: " "))
            }
            append(digitsOf: id)
        }
        try line("]}")
    }

    private func append(digitsOf value: Int32) {
        if value < 0 { buffer.append(UInt8(ascii: "-")) }
        var (rest, divisor) = (value.magnitude, UInt32(1))
        while rest / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            buffer.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / divisor))
            rest %= divisor
            divisor /= 10
        }
    }

    /// One line of JSON.
    func line(_ json: JSON) throws { try line(json.serialized(ensureASCII: false)) }

    func flush() throws {
        defer { buffer.removeAll(keepingCapacity: true) }
        try buffer.withUnsafeBytes {
            try FileSystem.write($0, to: STDOUT_FILENO, path: "standard output")
        }
    }

    /// Runs `body` and writes what is left, also when it throws.
    static func run(_ body: (Output) throws -> Void) throws {
        let output = Output()
        do {
            try body(output)
        } catch {
            try? output.flush()
            throw error
        }
        try output.flush()
    }
}
