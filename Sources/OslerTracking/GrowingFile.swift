internal import OslerFormats
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A file that grows while a run goes on. Each piece is handed to the system at once and nothing waits in this process, so
/// a killed run keeps everything that it had written.
final class GrowingFile {
    let path: String
    private let descriptor: CInt

    /// - Parameter keepsContent: append to what is there.
    init(_ path: String, keepsContent: Bool = false) throws {
        let mode = O_WRONLY | O_CREAT | O_CLOEXEC | (keepsContent ? O_APPEND : O_TRUNC)
        descriptor = open(path, mode, 0o666)
        guard descriptor >= 0 else {
            throw InputError("cannot be written (\(String(cString: strerror(errno))))", file: path)
        }
        self.path = path
    }

    func append(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try FileSystem.write($0, to: descriptor, path: path) }
    }

    /// To the disk, in case the machine stops.
    func flush() { fsync(descriptor) }

    deinit { close(descriptor) }
}
