#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import OslerCUDA
import OslerCompute
import OslerFormats

/// The library that stands in for the driver, NVRTC and cuBLASLt; built beside the tests.
enum Simulator {
    static let library: String? = {
        let folders = [executableFolder, FileSystem.parent(of: executableFolder)]
        return folders.map { FileSystem.join($0, "libCudaSim.so") }.first(where: FileSystem.exists)
    }()

    private static var executableFolder: String {
        guard let path = realpath("/proc/self/exe", nil) else { return "." }
        defer { free(path) }
        // Under a test runner of the toolchain, the bundle's own folder is an argument.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        return FileSystem.parent(of: bundle ?? String(cString: path))
    }

    struct Missing: Error {}

    /// Finds the simulator for all three libraries, and keeps compiled kernels in `cache`.
    static func search(
        cache: String? = nil, overriding: [String: String] = [:]
    ) throws -> LibrarySearch {
        guard let library else { throw Missing() }
        var values = [
            "OSLER_CUDA_DRIVER": library, "OSLER_NVRTC": library, "OSLER_CUBLASLT": library,
        ]
        values["OSLER_KERNEL_CACHE"] = cache
        values.merge(overriding) { $1 }
        let final = values
        return LibrarySearch { final[$0] }
    }

    private static let isReal =
        getenv("OSLER_TEST_GPU").map { String(cString: $0) == "1" } ?? false

    /// On the simulated card, or with `OSLER_TEST_GPU=1` (`make gpu-check`) on a real one.
    static func backend(_ precision: Precision) throws -> CUDABackend {
        try CUDABackend(precision: precision, search: isReal ? .standard : search())
    }

    /// On a simulated card of compute capability 7.5.
    static func turing(_ precision: Precision?) throws -> CUDABackend {
        try setting("cusim_set_architecture", 75)
        defer { try? setting("cusim_set_architecture", 0) }
        return try CUDABackend(precision: precision, search: search())
    }

    /// Calls one of the functions that the library has for tests.
    static func setting(_ name: String, _ value: Int32) throws {
        typealias Function = @convention(c) (Int32) -> Void
        guard let library, let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL),
            let function = dlsym(handle, name)
        else { throw Missing() }
        unsafeBitCast(function, to: Function.self)(value)
    }
}
