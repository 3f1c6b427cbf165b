#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A file that appears under its name complete or not at all: written beside it under a hidden
/// name, flushed to the disk, then renamed. Without `commit` (an error, a thrown exception) the
/// hidden file is removed and a former file stays as it was.
package struct AtomicFile: ~Copyable {
    package let path: String
    private let temporaryPath: String
    private let descriptor: CInt
    private var isCommitted = false

    /// - Throws: `InputError` when the folder is missing or not writable.
    package init(_ path: String) throws {
        let temporaryPath = FileSystem.temporaryPath(beside: path)
        let descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot be written", path) }
        (self.path, self.temporaryPath, self.descriptor) = (path, temporaryPath, descriptor)
    }

    /// Appends.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        try FileSystem.write(bytes, to: descriptor, path: path)
    }

    package mutating func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Puts the file in its place.
    package consuming func commit() throws {
        guard fsync(descriptor) == 0, rename(temporaryPath, path) == 0 else {
            throw FileSystem.failure("cannot be written", path)
        }
        isCommitted = true
        try FileSystem.synchronize(FileSystem.parent(of: path))
    }

    deinit {
        close(descriptor)
        if !isCommitted { unlink(temporaryPath) }
    }

    package static func write(_ bytes: [UInt8], to path: String) throws {
        var file = try AtomicFile(path)
        try bytes.withUnsafeBytes { try file.write($0) }
        try file.commit()
    }

    package static func write(_ text: String, to path: String) throws {
        var file = try AtomicFile(path)
        try file.write(text)
        try file.commit()
    }
}

extension FileSystem {
    /// A hidden name in the same folder that nobody else uses.
    static func temporaryPath(beside path: String) -> String {
        let suffix = String(UInt64.random(in: 0 ... .max), radix: 36)
        return join(parent(of: path), ".\(name(of: path)).\(getpid())-\(suffix).tmp")
    }

    /// Writes all of `bytes`; `path` is for the error only.
    package static func write(
        _ bytes: UnsafeRawBufferPointer, to descriptor: CInt, path: String
    ) throws {
        // One call writes at most 2 GiB on Linux.
        let largestWrite = 1 << 30
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(largestWrite))
            let count = systemWrite(descriptor, piece.baseAddress, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("cannot be written", path) }
            rest = rest.dropFirst(count)
        }
    }

    /// Flushes a file or folder to the disk.
    static func synchronize(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be flushed to the disk", path) }
        defer { close(descriptor) }
        // Some file systems refuse to flush a folder.
        guard fsync(descriptor) == 0 || errno == EINVAL else {
            throw failure("cannot be flushed to the disk", path)
        }
    }
}

/// `write(2)`, which `FileSystem.write` would hide.
private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
