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

    /// With `OSLER_TEST_GPU=1` tests run on a real card.
    static let isReal = getenv("OSLER_TEST_GPU").map { String(cString: $0) == "1" } ?? false

    /// A function of the simulator itself; nil on a real card.
    static func function<Function>(_ name: String, as type: Function.Type) throws -> Function? {
        if isReal { return nil }
        guard let library, let handle = dlopen(library, RTLD_NOW | RTLD_LOCAL),
            let function = dlsym(handle, name)
        else { throw Missing() }
        return unsafeBitCast(function, to: type)
    }

    /// How often this thread has waited for the card so far.
    static func hostWaits() throws -> Int {
        typealias Function = @convention(c) () -> Int32
        return Int(try function("cusim_host_waits", as: Function.self)?() ?? 0)
    }

    /// Whether the address sanitizer guards what lies beside device memory (`make test-asan`).
    static func guardsMemory() throws -> Bool {
        typealias Function = @convention(c) () -> Int32
        return try function("cusim_guards_memory", as: Function.self)?() == 1
    }

    /// Calls one of the functions that the library has for tests; nothing on a real card.
    static func set(_ name: String, _ value: Int32) throws {
        typealias Function = @convention(c) (Int32) -> Void
        try function(name, as: Function.self)?(value)
    }

    /// On a simulated card of compute capability 7.5.
    static func turing(_ precision: Precision?) throws -> CUDABackend {
        try set("cusim_set_architecture", 75)
        defer { try? set("cusim_set_architecture", 0) }
        return try CUDABackend(precision: precision, search: search())
    }

    /// On the simulated card, or with `OSLER_TEST_GPU=1` on a real one.
    static func backend(_ precision: Precision) throws -> CUDABackend {
        try CUDABackend(precision: precision, search: isReal ? .standard : search())
    }
}
