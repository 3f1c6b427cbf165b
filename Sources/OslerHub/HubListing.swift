internal import OslerFormats

/// The files of a repository at one commit.
package struct HubListing: Sendable {
    package let repository: HubRepository
    package let commit: String
    /// Paths in the repository, sorted.
    package let files: [String]
    /// It is the cache's: the hub was not asked, or can't be.
    package let isLocal: Bool
}

extension HubClient {
    /// Asks the hub for the commit and the files.
    ///
    /// - Parameter tries: nil: as many as usual.
    func listing(_ repository: HubRepository, tries: Int? = nil) throws -> HubListing {
        let (id, revision) = (
            WebAddress.escaped(repository.id),
            WebAddress.escaped(repository.revision, keepingSlashes: false)
        )
        let address = try address("api/\(repository.kind.plural)/\(id)/revision/\(revision)")
        var answer: [UInt8] = []
        let largest = 256 << 20
        _ = try send(
            "GET", address, of: repository, networkTries: tries,
            headers: {
                answer = []
                return []
            },
            body: { _, piece in
                guard answer.count + piece.count <= largest else {
                    throw InputError(
                        "the list of files has more than \(largest >> 20) MiB",
                        file: repository.description)
                }
                answer += piece
            })
        func fault(_ problem: String) -> InputError {
            InputError(
                "\(settings.endpoint.host) \(problem)", file: repository.description,
                remedy: "check that HF_ENDPOINT is a Hugging Face hub")
        }
        guard
            let json = try? answer.withUnsafeBytes({ try JSON.parse($0, file: nil) }),
            let commit = json["sha"]?.string, HubRepository.isCommit(commit),
            let siblings = json["siblings"]?.array
        else { throw fault("does not answer with a commit and files") }
        let files = try siblings.map { sibling in
            guard let name = sibling["rfilename"]?.string, isSafeRelativePath(name) else {
                throw fault("lists a file whose name is none")
            }
            return name
        }
        return HubListing(
            repository: repository, commit: commit, files: files.sorted(), isLocal: false)
    }

    func address(_ path: String) throws -> WebAddress {
        guard let address = WebAddress(settings.base + path) else {
            throw InputError("\(settings.base + path) is no address", field: "HF_ENDPOINT")
        }
        return address
    }
}

/// What the hub says of one file before it is fetched.
struct HubFile: Sendable {
    let path: String
    let address: WebAddress
    /// Names the blob in the cache: SHA-256 of a large file, git's SHA-1 of a small one.
    let etag: String
    let byteCount: Int
}

extension HubClient {
    func metadata(of path: String, _ listing: HubListing) throws -> HubFile {
        let repository = listing.repository
        let prefix = repository.kind == .dataset ? "datasets/" : ""
        let address = try address(
            prefix + WebAddress.escaped(repository.id) + "/resolve/\(listing.commit)/"
                + WebAddress.escaped(path))
        let head = try send(
            "HEAD", address, of: repository, file: path, followsToOtherHosts: false)
        func fault(_ problem: String) -> InputError {
            InputError(
                "\(settings.endpoint.host) \(problem)", file: repository.description, field: path,
                remedy: "check that HF_ENDPOINT is a Hugging Face hub")
        }
        var etag = head.headers["x-linked-etag"] ?? head.headers["etag"] ?? ""
        if etag.hasPrefix("W/") { etag.removeFirst(2) }
        etag = etag.filter { $0 != "\"" }
        // It becomes the name of a file.
        guard (1...128).contains(etag.utf8.count), isSafeRelativePath(etag), !etag.contains("/"),
            !etag.hasPrefix(".")
        else { throw fault("gives no ETag") }
        let size =
            head.headers["x-linked-size"]
            ?? (head.isRedirect ? nil : head.headers["content-length"])
        guard let byteCount = size.flatMap({ Int($0) }), byteCount >= 0 else {
            throw fault("gives no size")
        }
        return HubFile(path: path, address: address, etag: etag, byteCount: byteCount)
    }
}
