#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerFormats

/// A repository in the cache.
package struct CachedRepository: Sendable {
    package let kind: HubRepository.Kind
    package let id: String
    package let path: String
    /// Bytes of its blobs; what was fetched in part too.
    package let byteCount: Int
    package let commits: [String]
    /// Branch or tag to commit.
    package let references: [(name: String, commit: String)]
}

extension HubCache {
    /// All models and data sets, in the order of their names.
    package func contents() throws -> [CachedRepository] {
        guard FileSystem.isDirectory(path) else { return [] }
        return try FileSystem.list(path).compactMap { name in
            let folder = FileSystem.join(path, name)
            guard FileSystem.isDirectory(folder), let (kind, id) = Self.repository(name) else {
                return nil
            }
            let references = try Self.files(in: folder, ifExists: "refs").map { reference in
                let file = FileSystem.join(folder, "refs/" + reference)
                return (name: reference, commit: try FileSystem.readText(file).trimmed)
            }
            let snapshots = FileSystem.join(folder, "snapshots")
            return CachedRepository(
                kind: kind, id: id, path: folder,
                byteCount: try Self.files(in: folder, ifExists: "blobs").reduce(0) {
                    $0 + (FileSystem.size(FileSystem.join(folder, "blobs/" + $1)) ?? 0)
                },
                commits: FileSystem.isDirectory(snapshots) ? try FileSystem.list(snapshots) : [],
                references: references)
        }
    }

    private static func files(in folder: String, ifExists name: String) throws -> [String] {
        let place = FileSystem.join(folder, name)
        return FileSystem.isDirectory(place) ? try files(in: place) : []
    }

    /// `models--org--name` -> model `org/name`.
    private static func repository(_ folder: String) -> (HubRepository.Kind, String)? {
        for kind in HubRepository.Kind.allCases where folder.hasPrefix(kind.plural + "--") {
            let id = folder.dropFirst(kind.plural.count + 2)
            let name = id.split(separator: "--", maxSplits: 1).joined(separator: "/")
            return HubRepository.isName(name) ? (kind, name) : nil
        }
        return nil
    }

    /// Removes a repository with all its revisions.
    ///
    /// - Returns: bytes that it had; nil when it is not here.
    package func delete(_ repository: HubRepository) throws -> Int? {
        let folder = folder(repository)
        guard let cached = try contents().first(where: { $0.path == folder }) else { return nil }
        // Renamed first, so that a removal that is cut short leaves no half of it under its name.
        let doomed = FileSystem.join(path, ".deleted-\(getpid())-" + repository.folderName)
        guard rename(folder, doomed) == 0 else {
            throw InputError(
                "cannot be removed (\(String(cString: strerror(errno))))", file: folder)
        }
        try FileSystem.remove(doomed)
        try FileSystem.remove(FileSystem.join(path, ".locks/" + repository.folderName))
        return cached.byteCount
    }
}
