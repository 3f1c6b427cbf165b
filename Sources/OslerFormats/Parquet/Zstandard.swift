#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Zstandard through libzstd, found at run time: the binary runs on machines without it, and says what to install when a
/// file needs it.
enum Zstandard {
    /// - Parameter count: of the bytes that come out, as the file says.
    static func decompress(
        _ bytes: UnsafeRawBufferPointer, count: Int, file: String?
    ) throws -> [UInt8] {
        guard let library else {
            throw InputError(
                "is compressed with zstd, and libzstd is not on this machine", file: file,
                remedy: "install it (Debian, Ubuntu: apt install libzstd1)")
        }
        var found = 0
        let output = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            found = library.decompress(buffer.baseAddress, count, bytes.baseAddress, bytes.count)
            filled = library.isError(found) == 0 && found == count ? count : 0
        }
        guard output.count == count else {
            throw InputError("damaged zstd data", file: file, remedy: "fetch the file again")
        }
        return output
    }

    private typealias Decompress =
        @convention(c) (
            UnsafeMutableRawPointer?, Int, UnsafeRawPointer?, Int
        ) -> Int
    private typealias IsError = @convention(c) (Int) -> UInt32

    private struct Library: Sendable {
        let decompress: Decompress
        let isError: IsError
    }

    private static let library: Library? = {
        #if canImport(Glibc)
            let names = ["libzstd.so.1", "libzstd.so"]
        #else
            let names = ["libzstd.1.dylib", "/opt/homebrew/lib/libzstd.1.dylib"]
        #endif
        guard let handle = names.lazy.compactMap({ dlopen($0, RTLD_NOW) }).first,
            let decompress = dlsym(handle, "ZSTD_decompress"),
            let isError = dlsym(handle, "ZSTD_isError")
        else { return nil }
        return Library(
            decompress: unsafeBitCast(decompress, to: Decompress.self),
            isError: unsafeBitCast(isError, to: IsError.self))
    }()
}
