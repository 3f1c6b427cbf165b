import OslerFormats

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A new folder, removed with the object.
final class TemporaryFolder {
    let path: String

    init() {
        var template = Array("/tmp/osler-formats-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no temporary folder")
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit { try? FileSystem.remove(path) }

    func file(_ name: String) -> String { path + "/" + name }

    /// Without a flush to the disk, unlike `AtomicFile`: damaged files are written by the thousand.
    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(descriptor) }
        try bytes.withUnsafeBytes { try FileSystem.write($0, to: descriptor, path: file(name)) }
        return file(name)
    }
}

/// The error that `body` throws as the user would see it, or nil.
func inputError(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch let error as InputError {
        return error.description
    } catch {
        return "not an InputError: \(error)"
    }
}

/// SplitMix64: random bytes that are the same in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
