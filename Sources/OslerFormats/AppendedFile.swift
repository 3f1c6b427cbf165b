#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A file that grows by whole lines, each one written at once: what was written stays when the process ends. Half a line
/// that a full disk or a power cut left behind is for the reader to drop.
package final class AppendedFile {
    package let path: String
    private let descriptor: CInt

    package init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot be written", path) }
    }

    package func line(_ text: String) throws {
        var line = text + "\n"
        try line.withUTF8 {
            try FileSystem.write(UnsafeRawBufferPointer($0), to: descriptor, path: path)
        }
    }

    deinit { close(descriptor) }
}
