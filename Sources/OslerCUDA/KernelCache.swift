internal import OslerFormats

/// Compiled kernels on disk, one file each, named by all that the compilation depends on.
///
/// A file is `magic, hash of the image, image`. Files that are damaged or of another form are
/// compiled anew and replaced; a folder that can't be written to is a cache that holds nothing.
package struct KernelCache: Sendable {
    /// What an image is of: a name for people, and a hash of everything it was made from.
    package struct Key {
        let name: String
        let hash: StableHash

        package init(name: String, content: [String]) {
            self.name = name
            var hash = StableHash()
            for text in content {
                hash.add(UInt64(text.utf8.count))
                for byte in text.utf8 { hash.add(UInt64(byte)) }
            }
            self.hash = hash
        }

        package var fileName: String { "\(name)-\(hash).image" }
    }

    package let folder: String
    package init(folder: String) { self.folder = folder }
    private static let magic = Array("osler kernel 1\n".utf8)

    /// `OSLER_KERNEL_CACHE`, else `osler/kernels` in the user's cache folder; nil when there is
    /// neither.
    package static func standard(_ environment: (String) -> String?) -> KernelCache? {
        if let folder = environment("OSLER_KERNEL_CACHE") { return KernelCache(folder: folder) }
        if let base = environment("XDG_CACHE_HOME"), base.hasPrefix("/") {
            return KernelCache(folder: FileSystem.join(base, "osler/kernels"))
        }
        guard let home = environment("HOME") else { return nil }
        return KernelCache(folder: FileSystem.join(home, ".cache/osler/kernels"))
    }

    package func path(of key: Key) -> String { FileSystem.join(folder, key.fileName) }

    package func image(for key: Key) -> [UInt8]? {
        guard let bytes = try? FileSystem.read(path(of: key)) else { return nil }
        let start = Self.magic.count + 32
        guard bytes.count > start, bytes.starts(with: Self.magic) else { return nil }
        let image = Array(bytes[start...])
        return Array(bytes[Self.magic.count..<start]) == Self.checksum(image) ? image : nil
    }

    package func store(_ image: [UInt8], for key: Key) {
        // Without a cache the next run compiles again: slower, not wrong.
        guard !image.isEmpty, (try? FileSystem.createDirectories(folder)) != nil else { return }
        try? AtomicFile.write(Self.magic + Self.checksum(image) + image, to: path(of: key))
    }

    /// 32 bytes of text.
    private static func checksum(_ image: [UInt8]) -> [UInt8] {
        var hash = StableHash()
        for byte in image { hash.add(UInt64(byte)) }
        return Array(hash.description.utf8)
    }
}
