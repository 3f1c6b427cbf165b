#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats

/// A file that is being fetched, with the hash of what is there.
final class PartialFile {
    private let path: String
    private let expected: HubFile
    private let progress: (Int) throws -> Void
    private let descriptor: CInt
    private var running: Digest?
    private var answerStatus: Int?
    private(set) var count = 0

    /// Opens what an earlier try has left, and hashes it.
    init(_ path: String, expected: HubFile, _ progress: @escaping (Int) throws -> Void) throws {
        (self.path, self.expected, self.progress) = (path, expected, progress)
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw Self.failure("cannot be written", path) }
        running = Self.digest(for: expected)
        guard let size = FileSystem.size(path), size > 0, size <= expected.byteCount else {
            try restart()
            return
        }
        var block = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let read = read(descriptor, &block, block.count)
            if read < 0, errno == EINTR { continue }
            guard read >= 0 else { throw Self.failure("cannot be read", path) }
            if read == 0 { break }
            block.withUnsafeBytes { running?.update(UnsafeRawBufferPointer(rebasing: $0[..<read])) }
            count += read
            try progress(read)
        }
    }

    deinit { close(descriptor) }

    /// SHA-256 for large files; for small ones git's name of a blob, SHA-1 of a header and the content.
    private static func digest(for file: HubFile) -> Digest? {
        guard isHex(file.etag) else { return nil }
        switch file.etag.utf8.count {
        case 64: return Digest(.sha256)
        case 40:
            var digest = Digest(.sha1)
            digest.update("blob \(file.byteCount)\0")
            return digest
        default: return nil
        }
    }

    /// Of all that is there; nil where the hub's name is no hash.
    var digest: String? { running?.finish() }

    /// Whether this is an answer's first piece.
    func isAtStartOfAnswer(_ head: HTTPHead) -> Bool {
        defer { answerStatus = head.status }
        return answerStatus == nil
    }

    /// The next piece belongs to another answer.
    func endAnswer() { answerStatus = nil }

    func append(_ piece: UnsafeRawBufferPointer) throws {
        guard count + piece.count <= expected.byteCount else {
            throw InputError(
                "more than the \(expected.byteCount) bytes that the hub announced arrive",
                field: expected.path, remedy: "a proxy or mirror may be changing files")
        }
        try FileSystem.write(piece, to: descriptor, path: path)
        running?.update(piece)
        count += piece.count
        try progress(piece.count)
    }

    /// Throws away what is there.
    func restart() throws {
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw Self.failure("cannot be written", path)
        }
        try progress(-count)
        count = 0
        running = Self.digest(for: expected)
    }

    func commit(to place: String) throws {
        guard fsync(descriptor) == 0, rename(path, place) == 0 else {
            throw Self.failure("cannot be written", place)
        }
    }

    private static func failure(_ problem: String, _ path: String) -> InputError {
        let full = errno == ENOSPC || errno == EDQUOT
        return InputError(
            "\(problem) (\(String(cString: strerror(errno))))", file: path,
            remedy: full ? "free some space, or set HF_HOME to another disk" : nil)
    }
}
