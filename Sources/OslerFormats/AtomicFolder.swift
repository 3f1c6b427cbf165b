#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A folder that appears under its name complete or not at all: filled beside it under a hidden
/// name, flushed to the disk, then renamed. A former folder of that name moves aside first and is
/// removed last, so one complete folder is on the disk at every moment. Without `commit` the
/// hidden folder is removed.
package struct AtomicFolder: ~Copyable {
    package let path: String
    /// Where to put the files until `commit`.
    package let temporaryPath: String
    private var isCommitted = false

    /// Makes the hidden folder, and the folders above it where they are missing.
    package init(_ path: String) throws {
        try FileSystem.createDirectories(FileSystem.parent(of: path))
        let temporaryPath = FileSystem.temporaryPath(beside: path)
        guard mkdir(temporaryPath, 0o777) == 0 else {
            throw FileSystem.failure("cannot be written", path)
        }
        (self.path, self.temporaryPath) = (path, temporaryPath)
    }

    /// Calls `body` with the path to put files under. Where writing one fails, the error names the place that it would
    /// have had.
    package func fill<Result>(_ body: (String) throws -> Result) throws -> Result {
        do {
            return try body(temporaryPath)
        } catch var error as InputError {
            if let file = error.file, file.hasPrefix(temporaryPath) {
                error.file = path + file.dropFirst(temporaryPath.count)
            }
            throw error
        }
    }

    /// Puts the folder in its place.
    package consuming func commit() throws {
        try fill { try Self.synchronizeTree($0) }
        let former = FileSystem.exists(path) ? FileSystem.temporaryPath(beside: path) : nil
        if let former, rename(path, former) != 0 {
            throw FileSystem.failure("cannot be replaced", path)
        }
        guard rename(temporaryPath, path) == 0 else {
            let error = FileSystem.failure("cannot be written", path)
            if let former { rename(former, path) }
            throw error
        }
        isCommitted = true
        if let former { try FileSystem.remove(former) }
        try FileSystem.synchronize(FileSystem.parent(of: path))
    }

    private static func synchronizeTree(_ path: String) throws {
        if FileSystem.isDirectory(path) {
            for name in try FileSystem.list(path) {
                try synchronizeTree(FileSystem.join(path, name))
            }
        }
        try FileSystem.synchronize(path)
    }

    deinit {
        if !isCommitted { try? FileSystem.remove(temporaryPath) }
    }
}
