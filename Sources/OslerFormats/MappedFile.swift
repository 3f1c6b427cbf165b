#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A regular file mapped into memory, read only. Pages are read when they are first touched.
///
/// `@unchecked Sendable`: the mapping is never written and lives as long as the object.
package final class MappedFile: @unchecked Sendable {
    package let path: String
    private let bytes: UnsafeRawBufferPointer

    /// Size in bytes.
    package var count: Int { bytes.count }

    /// The whole file; the pointer is valid inside `body` only.
    package func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    /// - Throws: `InputError` for a file that is missing, unreadable or not a regular file.
    package init(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot be read", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FileSystem.failure("cannot be read", path)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "not a regular file"
            throw InputError("is \(kind) where a file was expected", file: path)
        }
        self.path = path
        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address, address != MAP_FAILED else {
            throw FileSystem.failure("cannot be mapped into memory", path)
        }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    deinit {
        if let base = bytes.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
        }
    }

    /// Gives the pages of `range` back to the system once they are copied elsewhere; reading them
    /// again reads the file again.
    package func release(_ range: Range<Int>) {
        let page = Int(getpagesize())
        let start = (range.lowerBound + page - 1) / page * page
        let end = range.upperBound == bytes.count ? bytes.count : range.upperBound / page * page
        guard start < end, end <= bytes.count, let base = bytes.baseAddress else { return }
        madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
    }

    /// The same for a part of the mapping.
    package func release(_ part: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, let first = part.baseAddress else { return }
        let start = first - base
        precondition(start >= 0 && start + part.count <= bytes.count)
        release(start..<start + part.count)
    }
}
