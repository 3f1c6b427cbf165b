#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats
internal import Synchronization

/// The hub, and what is on the disk of it.
///
/// A revision is asked for once; what the cache has is not fetched again. Without a network, the last state that was
/// fetched is used, and said so.
package struct Hub {
    /// What a person may want to know on the way.
    package enum Event: Sendable {
        /// Before the first request.
        case asks(HubRepository, host: String)
        /// The network failed; the cache is used.
        case usesCache(HubRepository, because: String)
        /// Before the first byte of a file.
        case begins(HubRepository, from: String, files: Int, bytes: Int, missing: Int)
        case progresses(TransferProgress)
        case ends
    }

    package let settings: HubSettings
    package let cache: HubCache
    private let report: (Event) throws -> Void

    /// - Parameter report: called on the caller's thread.
    package init(_ settings: HubSettings, report: @escaping (Event) throws -> Void = { _ in }) {
        self.settings = settings
        cache = HubCache(settings.cache)
        self.report = report
    }

    /// The commit and files of a repository: the hub's or, offline, the cache's.
    package func listing(_ repository: HubRepository) throws -> HubListing {
        if settings.isOffline {
            if let listing = try cache.listing(repository) { return listing }
            throw InputError(
                "not on this machine, and HF_HUB_OFFLINE or local_files_only forbids the network",
                file: repository.description,
                remedy: "fetch it first: osler download \(repository.downloadArguments)")
        }
        try report(.asks(repository, host: settings.endpoint.host))
        // Who is on a train and has the files doesn't wait for five tries.
        let cached = try cache.listing(repository)
        do {
            return try HubClient(settings).listing(repository, tries: cached == nil ? nil : 1)
        } catch let error as UnreachableHub {
            guard let listing = cached else { throw error.line }
            try report(.usesCache(repository, because: error.line.problem))
            return listing
        }
    }

    /// Puts files into the cache.
    ///
    /// - Parameter isAll: with these the revision is complete as far as it is wanted, and its name is noted.
    /// - Returns: the folder with the files under their names.
    package func fetch(_ files: [String], of listing: HubListing, isAll: Bool = true) throws
        -> String
    {
        let repository = listing.repository
        let folder = cache.snapshot(repository, listing.commit)
        let missing = files.filter { !FileSystem.isFile(FileSystem.join(folder, $0)) }
        if let first = missing.first {
            guard !listing.isLocal else {
                throw InputError(
                    "not on this machine, and the hub is not asked or can't be",
                    file: repository.description, field: first,
                    remedy: "fetch it first: osler download \(repository.downloadArguments)")
            }
            do {
                try download(missing, of: listing, wanted: files.count)
            } catch let error as UnreachableHub {
                throw error.line
            }
        }
        if isAll, !listing.isLocal { try cache.writeReference(repository, listing.commit) }
        return folder
    }

    private func download(_ paths: [String], of listing: HubListing, wanted: Int) throws {
        let (repository, settings, cache) = (listing.repository, settings, cache)
        let described = Mutex([HubFile?](repeating: nil, count: paths.count))
        try Workers(count: paths.count) {
            try HubClient(settings)
        } body: { client, index in
            let file = try client.metadata(of: paths[index], listing)
            described.withLock { $0[index] = file }
        }.run(threads: settings.parallelDownloads) {}
        let files = described.withLock { $0.compactMap { $0 } }
        let bytes = files.reduce(0) { $0 + min($1.byteCount, 1 << 50) }
        let present = files.reduce(0) { $0 + presentBytes($1, repository) }
        if let free = cache.freeBytes(), free < bytes - present {
            throw InputError(
                "\(bytes - present) bytes are to come, the disk of \(cache.path) has \(free) left",
                file: repository.description,
                remedy: "free some space, or set HF_HOME to another disk")
        }
        try report(
            .begins(
                repository, from: settings.endpoint.host, files: wanted, bytes: bytes,
                missing: files.count))
        var rate = TransferRate()
        let workers = DownloadWorkers(
            settings: settings, cache: cache, listing: listing, files: files)
        try workers.run { done in
            rate.add(done, at: Self.seconds())
            try report(
                .progresses(
                    TransferProgress(
                        doneBytes: done, totalBytes: bytes, bytesPerSecond: rate.bytesPerSecond)))
        }
        try report(.ends)
    }

    /// Bytes of a file that earlier tries have left.
    private func presentBytes(_ file: HubFile, _ repository: HubRepository) -> Int {
        let blob = cache.blob(file.etag, repository)
        let size = FileSystem.size(blob) ?? FileSystem.size(blob + ".incomplete") ?? 0
        return min(size, file.byteCount)
    }

    private static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension HubRepository {
    /// What `osler download` is told to fetch this.
    var downloadArguments: String {
        let options =
            (kind == .dataset ? " --dataset" : "")
            + (revision == Self.defaultRevision ? "" : " --revision \(revision)")
        return id + options
    }
}
