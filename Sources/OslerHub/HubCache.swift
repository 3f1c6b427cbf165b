#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats

/// The cache on the disk, in Hugging Face's layout, so that Python and Osler use each other's files:
///
///     models--org--name/refs/main                      the commit of a branch or tag
///     models--org--name/blobs/ETAG                     each content once
///     models--org--name/snapshots/COMMIT/config.json   -> ../../blobs/ETAG
///     .locks/models--org--name/ETAG.lock               held while a blob is written
package struct HubCache: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    func folder(_ repository: HubRepository) -> String {
        FileSystem.join(path, repository.folderName)
    }

    func blob(_ etag: String, _ repository: HubRepository) -> String {
        FileSystem.join(folder(repository), "blobs/" + etag)
    }

    package func snapshot(_ repository: HubRepository, _ commit: String) -> String {
        FileSystem.join(folder(repository), "snapshots/" + commit)
    }

    /// The commit that the revision was when it was last fetched.
    func commit(_ repository: HubRepository) throws -> String? {
        if repository.isCommit { return repository.revision }
        let file = FileSystem.join(folder(repository), "refs/" + repository.revision)
        guard FileSystem.isFile(file) else { return nil }
        let commit = try FileSystem.readText(file).trimmed
        return HubRepository.isCommit(commit) ? commit : nil
    }

    /// What is on the disk of a revision; nil when that is nothing.
    func listing(_ repository: HubRepository) throws -> HubListing? {
        guard let commit = try commit(repository) else { return nil }
        let folder = snapshot(repository, commit)
        guard FileSystem.isDirectory(folder) else { return nil }
        return HubListing(
            repository: repository, commit: commit, files: try Self.files(in: folder), isLocal: true
        )
    }

    /// Paths of the files below a folder, sorted; links to files count, links to nothing don't.
    package static func files(in folder: String, below prefix: String = "") throws -> [String] {
        try FileSystem.list(FileSystem.join(folder, prefix)).flatMap { name -> [String] in
            let path = FileSystem.join(prefix, name)
            let place = FileSystem.join(folder, path)
            if FileSystem.isDirectory(place) { return try files(in: folder, below: path) }
            return FileSystem.isFile(place) ? [path] : []
        }.sorted()
    }

    func writeReference(_ repository: HubRepository, _ commit: String) throws {
        guard !repository.isCommit, try self.commit(repository) != commit else { return }
        let file = FileSystem.join(folder(repository), "refs/" + repository.revision)
        try FileSystem.createDirectories(FileSystem.parent(of: file))
        try AtomicFile.write(commit, to: file)
    }

    /// Puts a blob in its place in a snapshot, by a relative link.
    func link(_ file: String, to etag: String, _ repository: HubRepository, _ commit: String) throws
    {
        let place = FileSystem.join(snapshot(repository, commit), file)
        try FileSystem.createDirectories(FileSystem.parent(of: place))
        let depth = file.split(separator: "/").count + 1
        let target = String(repeating: "../", count: depth) + "blobs/" + etag
        let temporary = place + ".\(getpid()).tmp"
        unlink(temporary)
        guard symlink(target, temporary) == 0, rename(temporary, place) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(temporary)
            throw InputError("cannot be linked (\(reason))", file: place)
        }
    }

    /// Runs `body` while nobody else, Python neither, writes the blob.
    func withLock<Result>(
        _ etag: String, _ repository: HubRepository, _ body: () throws -> Result
    ) throws -> Result {
        let locks = FileSystem.join(path, ".locks/" + repository.folderName)
        try FileSystem.createDirectories(locks)
        let file = FileSystem.join(locks, etag + ".lock")
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw InputError("cannot be written (\(String(cString: strerror(errno))))", file: file)
        }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
        return try body()
    }

    /// Bytes that the disk has left.
    func freeBytes() -> Int? {
        var folder = path
        while !FileSystem.exists(folder), folder != FileSystem.parent(of: folder) {
            folder = FileSystem.parent(of: folder)
        }
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return nil }
        let (bytes, overflows) = Int(status.f_bavail).multipliedReportingOverflow(
            by: Int(status.f_frsize))
        return overflows ? nil : bytes
    }
}
