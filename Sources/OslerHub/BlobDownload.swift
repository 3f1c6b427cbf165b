#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats

/// One file from the hub into the cache's blobs: appended to `ETAG.incomplete`, from where an earlier try ended, and
/// renamed when size and hash are the hub's.
struct BlobDownload {
    let file: HubFile
    let listing: HubListing
    let cache: HubCache
    /// Bytes more on the disk (negative: thrown away); throws to stop.
    let progress: (Int) throws -> Void

    private var blob: String { cache.blob(file.etag, listing.repository) }

    /// - Throws: `InputError` when the file can't be fetched, or is another than the hub says.
    func run(_ client: HubClient) throws {
        try cache.withLock(file.etag, listing.repository) {
            // Another process may have fetched it meanwhile.
            if FileSystem.size(blob) == file.byteCount { return try progress(file.byteCount) }
            try FileSystem.createDirectories(FileSystem.parent(of: blob))
            let part = try PartialFile(blob + ".incomplete", expected: file, progress)
            // A damaged beginning shows at the end only, so one more try starts from nothing.
            for isLast in [false, true] {
                try fetch(part, client)
                let found = part.digest
                if found == nil || found == file.etag { break }
                try part.restart()
                if isLast {
                    throw InputError(
                        "what arrives is damaged: its hash is \(found ?? ""), the hub says \(file.etag)",
                        file: listing.repository.description, field: file.path,
                        remedy: "try again; a proxy or mirror may be changing files")
                }
            }
            try part.commit(to: blob)
        }
    }

    private func fetch(_ part: PartialFile, _ client: HubClient) throws {
        var (tries, furthest) = (0, part.count)
        while part.count < file.byteCount {
            _ = try client.send(
                "GET", file.address, of: listing.repository, file: file.path,
                headers: {
                    part.endAnswer()
                    return part.count == 0 ? [] : [("Range", "bytes=\(part.count)-")]
                },
                position: { part.count }, restart: part.restart,
                body: { head, piece in
                    if part.isAtStartOfAnswer(head) {
                        // The server may ignore the range, and then starts from the beginning.
                        if head.status == 200 { try part.restart() }
                        try checkStart(head, part.count)
                    }
                    try part.append(piece)
                })
            // An answer that ends early without a broken connection.
            (tries, furthest) = part.count > furthest ? (0, part.count) : (tries + 1, furthest)
            if tries == client.settings.tries {
                throw InputError(
                    "the answer ends after \(part.count) of \(file.byteCount) bytes",
                    file: listing.repository.description, field: file.path,
                    remedy: "try again; what has arrived is kept")
            }
        }
    }

    private func checkStart(_ head: HTTPHead, _ count: Int) throws {
        guard head.status == 206 else { return }
        let range = head.headers["content-range"] ?? ""
        let start = range.hasPrefix("bytes ") ? range.dropFirst(6).prefix { $0 != "-" } : ""
        guard Int(start) == count else {
            throw InputError(
                "asked from byte \(count), the answer has \"\(range)\"",
                file: listing.repository.description, field: file.path,
                remedy: "a proxy or mirror may be changing answers")
        }
    }
}
