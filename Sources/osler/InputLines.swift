internal import ArgumentParser
internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Where a command reads its JSON lines.
struct InputArguments: ParsableArguments {
    @Argument(help: ArgumentHelp("JSON lines; standard input if left out.", valueName: "file"))
    var input: String?

    func open() throws -> InputLines { try InputLines(input == "-" ? nil : input) }
}

/// JSON lines of a file or of standard input, each as soon as it is there.
final class InputLines {
    let name: String
    private let descriptor: CInt
    private var buffer: [UInt8] = []
    /// Where the next line starts, and up to where no line feed was found.
    private var (start, searched) = (0, 0)
    private var ended = false
    private var number = 0

    /// - Parameter path: nil is standard input.
    init(_ path: String?) throws {
        name = path ?? "standard input"
        guard let path else {
            descriptor = STDIN_FILENO
            return
        }
        if FileSystem.isDirectory(path) {
            throw InputError("is a folder where a file was expected", file: path)
        }
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw InputError("cannot be read (\(String(cString: strerror(errno))))", file: path)
        }
    }

    deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

    /// The next line that is not blank; nil at the end. Waits for one.
    ///
    /// - Throws: `InputError` with line and column when it is no JSON object.
    func next() throws -> (line: Int, object: JSON.Object)? {
        while let range = try nextRange() {
            number += 1
            let value: JSON? = try buffer.withUnsafeBytes { bytes in
                let content = UnsafeRawBufferPointer(rebasing: bytes[range])
                if content.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { return nil }
                return try JSON.parse(content, file: name, firstLine: number)
            }
            guard let value else { continue }
            guard let object = value.object else { throw fault(number, "not a JSON object") }
            return (number, object)
        }
        return nil
    }

    /// Whether the next line can be had without waiting: answers to those before it must not wait for it.
    var isReady: Bool {
        if ended || buffer[searched...].contains(0x0A) { return true }
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return Self.poll(&poll)
    }

    func fault(_ line: Int, _ problem: String, remedy: String? = nil) -> InputError {
        InputError(problem, file: name, field: "line \(line)", remedy: remedy)
    }

    private static func poll(_ descriptor: inout pollfd) -> Bool {
        #if canImport(Glibc)
            return Glibc.poll(&descriptor, 1, 0) > 0
        #else
            return Darwin.poll(&descriptor, 1, 0) > 0
        #endif
    }

    private func nextRange() throws -> Range<Int>? {
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0A) {
                let range = start..<end
                (start, searched) = (end + 1, end + 1)
                return range
            }
            searched = buffer.count
            if ended {
                guard start < buffer.count else { return nil }
                let range = start..<buffer.count
                start = buffer.count
                return range
            }
            try fill()
        }
    }

    /// Reads more behind what is left of the buffer.
    private func fill() throws {
        buffer.removeSubrange(..<start)
        (searched, start) = (searched - start, 0)
        let size = 1 << 16
        let filled = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: size))
        var count = 0
        repeat {
            count = buffer.withUnsafeMutableBytes {
                read(descriptor, $0.baseAddress.map { $0 + filled }, size)
            }
        } while count < 0 && errno == EINTR
        buffer.removeSubrange((filled + max(0, count))...)
        guard count >= 0 else {
            throw InputError("cannot be read (\(String(cString: strerror(errno))))", file: name)
        }
        ended = count == 0
    }
}

extension JSON.Object {
    /// Token ids under `key`; nil when there is no such key.
    ///
    /// - Parameter size: ids must be below it.
    func ids(_ key: String, below size: Int, _ fault: (String) -> InputError) throws -> [Int32]? {
        guard let value = self[key] else { return nil }
        guard let list = value.array else { throw fault("\"\(key)\" is not a list") }
        return try list.map { item in
            guard let id = item.integer else {
                throw fault("\"\(key)\" holds something that is no whole number")
            }
            guard id >= 0, id < size else {
                throw fault("\(id) is no token id of this model, which has \(size)")
            }
            return Int32(id)
        }
    }
}
