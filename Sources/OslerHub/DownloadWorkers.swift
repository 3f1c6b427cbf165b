internal import Synchronization

/// The files of a listing that are fetched side by side, largest first.
final class DownloadWorkers: Sendable {
    private let settings: HubSettings
    private let cache: HubCache
    private let listing: HubListing
    private let files: [HubFile]
    /// Bytes on the disk.
    private let done = Atomic<Int>(0)
    private let isStopped = Atomic<Bool>(false)

    private struct Stopped: Error {}

    init(settings: HubSettings, cache: HubCache, listing: HubListing, files: [HubFile]) {
        (self.settings, self.cache, self.listing) = (settings, cache, listing)
        self.files = files.sorted { $0.byteCount > $1.byteCount }
    }

    /// - Parameter look: called with the bytes that are done, on the caller's thread; throws to stop.
    func run(look: (Int) throws -> Void) throws {
        let workers = Workers(count: files.count) {
            try HubClient(self.settings)
        } body: { client, index in
            do {
                try self.fetch(self.files[index], client)
            } catch {
                self.isStopped.store(true, ordering: .relaxed)
                throw error
            }
        }
        try workers.run(threads: settings.parallelDownloads) {
            do {
                try look(done.load(ordering: .relaxed))
            } catch {
                isStopped.store(true, ordering: .relaxed)
                throw error
            }
        }
    }

    private func fetch(_ file: HubFile, _ client: HubClient) throws {
        let download = BlobDownload(file: file, listing: listing, cache: cache) { bytes in
            self.done.add(bytes, ordering: .relaxed)
            if self.isStopped.load(ordering: .relaxed) { throw Stopped() }
        }
        try download.run(client)
        try cache.link(file.path, to: file.etag, listing.repository, listing.commit)
    }
}
