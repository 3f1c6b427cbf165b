#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Files and folders by path. Whatever fails throws an `InputError` that names the path.
package enum FileSystem {
    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package static func isDirectory(_ path: String) -> Bool { kind(path) == S_IFDIR }

    package static func isFile(_ path: String) -> Bool { kind(path) == S_IFREG }

    private static func kind(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    /// Size in bytes; nil when there is no such file.
    package static func size(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Names in a folder, sorted by their UTF-8, without `.` and `..`.
    package static func list(_ folder: String) throws -> [String] {
        guard let stream = opendir(folder) else { throw failure("cannot be listed", folder) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// All bytes of a file, a pipe or a device.
    package static func read(_ path: String) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot be read", path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = systemRead(descriptor, &block, block.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("cannot be read", path) }
            if count == 0 { return bytes }
            bytes += block[..<count]
        }
    }

    /// A text file in UTF-8.
    package static func readText(_ path: String) throws -> String {
        guard let text = String(validating: try read(path), as: UTF8.self) else {
            throw InputError("is not valid UTF-8 text", file: path)
        }
        return text
    }

    /// Makes a folder and those above it; one that exists is fine.
    package static func createDirectories(_ path: String) throws {
        if isDirectory(path) { return }
        let above = parent(of: path)
        if above != path { try createDirectories(above) }
        if mkdir(path, 0o777) != 0, errno != EEXIST || !isDirectory(path) {
            throw failure("cannot be created", path)
        }
    }

    /// Removes a file, or a folder with all in it; what is not there is fine. Links are removed,
    /// not followed.
    package static func remove(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in try list(path) { try remove(join(path, name)) }
            guard rmdir(path) == 0 else { throw failure("cannot be removed", path) }
        } else {
            guard unlink(path) == 0 else { throw failure("cannot be removed", path) }
        }
    }

    package static func join(_ folder: String, _ name: String) -> String {
        folder.isEmpty ? name : folder.hasSuffix("/") ? folder + name : folder + "/" + name
    }

    /// The folder that holds `path`: `.` for a bare name.
    package static func parent(of path: String) -> String {
        let trimmed = withoutTrailingSlashes(path)
        guard let slash = trimmed.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == trimmed.startIndex ? "/" : withoutTrailingSlashes(String(trimmed[..<slash]))
    }

    /// The last component of a path.
    package static func name(of path: String) -> String {
        let trimmed = withoutTrailingSlashes(path)
        guard let slash = trimmed.utf8.lastIndex(of: UInt8(ascii: "/")) else { return trimmed }
        return String(trimmed[trimmed.utf8.index(after: slash)...])
    }

    private static func withoutTrailingSlashes(_ path: String) -> String {
        var path = path
        while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// The error for a system call on `path` that has just failed with `errno`.
    static func failure(_ problem: String, _ path: String) -> InputError {
        let code = errno
        let reason = String(cString: strerror(code))
        return InputError("\(problem) (\(reason))", file: path, remedy: remedy(for: code))
    }

    private static func remedy(for code: CInt) -> String? {
        switch code {
        case ENOSPC, EDQUOT, EFBIG: "free some space or choose another folder"
        case EACCES, EPERM, EROFS: "check its permissions"
        default: nil
        }
    }
}

/// `read(2)`, which `FileSystem.read` would hide.
private func systemRead(_ descriptor: CInt, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int
{
    read(descriptor, buffer, count)
}

extension JSON {
    public static func parse(file path: String) throws -> JSON {
        try MappedFile(path).withBytes { try parse($0, file: path) }
    }
}
