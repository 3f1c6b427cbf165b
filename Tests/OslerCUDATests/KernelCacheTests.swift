import OslerCUDA
import OslerCompute
import OslerFormats
import OslerTestSupport
import Testing

@Suite struct KernelCacheTests {
    private let folder = Fixtures.temporaryFolder()
    private let file = KernelSources.File(name: "one.cu", text: "// one\nREGISTER(osler_one)\n")
    private let prelude = KernelSources.File(name: "prelude.cuh", text: "// prelude\n")

    private func compiler(_ folder: String) throws -> KernelCompiler {
        KernelCompiler(
            nvrtc: try Simulator.search().nvrtc(driverMajor: 13), cache: KernelCache(folder: folder)
        )
    }

    private func image(
        _ compiler: KernelCompiler, _ file: KernelSources.File? = nil,
        _ prelude: KernelSources.File? = nil, architecture: Int = 90
    ) throws -> String {
        String(
            decoding: try compiler.image(
                of: file ?? self.file, prelude: prelude ?? self.prelude,
                architecture: architecture), as: UTF8.self)
    }

    private func files() throws -> [String] { try FileSystem.list(folder) }

    /// Puts a marked image where the cache's only file is, in the cache's own form.
    private func mark() throws {
        let key = KernelCache.Key(name: "marked", content: [])
        let cache = KernelCache(folder: folder)
        let only = try #require(try files().first)
        cache.store(Array("CUDASIM marked".utf8), for: key)
        try AtomicFile.write(
            try FileSystem.read(cache.path(of: key)), to: FileSystem.join(folder, only))
        try FileSystem.remove(cache.path(of: key))
    }

    @Test func `what was compiled is read the next time`() throws {
        defer { try? FileSystem.remove(folder) }
        let compiler = try compiler(folder)
        let first = try image(compiler)
        #expect(first.hasPrefix("CUDASIM sm_90 one.cu"))
        try mark()
        #expect(try image(compiler) == "CUDASIM marked")
    }

    @Test func `another source, prelude or architecture is compiled anew`() throws {
        defer { try? FileSystem.remove(folder) }
        let compiler = try compiler(folder)
        _ = try image(compiler)
        try mark()
        let edited = KernelSources.File(name: "one.cu", text: file.text + " ")
        #expect(try image(compiler, edited) != "CUDASIM marked")
        let header = KernelSources.File(name: "prelude.cuh", text: "// other\n")
        #expect(try image(compiler, nil, header) != "CUDASIM marked")
        #expect(try image(compiler, architecture: 80).hasPrefix("CUDASIM sm_80"))
        #expect(try files().count == 4)
    }

    @Test(arguments: 0..<4)
    func `a damaged file is compiled anew and replaced`(damage: Int) throws {
        defer { try? FileSystem.remove(folder) }
        let compiler = try compiler(folder)
        let good = try image(compiler)
        let path = FileSystem.join(folder, try #require(try files().first))
        let whole = try FileSystem.read(path)
        var bytes = whole
        switch damage {
        case 0: bytes = []
        case 1: bytes.removeLast()
        case 2: bytes[bytes.count - 2] ^= 1
        default: bytes[0] ^= 1
        }
        try AtomicFile.write(bytes, to: path)
        #expect(try image(compiler) == good)
        #expect(try FileSystem.read(path) == whole)
    }

    @Test func `a folder that can't be written is no error`() throws {
        defer { try? FileSystem.remove(folder) }
        #expect(try image(compiler("/proc/no/such")).hasPrefix("CUDASIM sm_90"))
    }

    @Test func `an architecture that NVRTC doesn't know gets its generation's, or PTX`() throws {
        let compiler = try compiler(folder)
        defer { try? FileSystem.remove(folder) }
        #expect(try image(compiler, architecture: 87).hasPrefix("CUDASIM sm_86"))
        #expect(try image(compiler, architecture: 130).hasPrefix("CUDASIM compute_120"))
        #expect(throws: CUDAError.self) { try image(compiler, architecture: 61) }
    }

    @Test func `a source with an error shows the compiler's words`() throws {
        defer { try? FileSystem.remove(folder) }
        let bad = KernelSources.File(name: "bad.cu", text: "#error no\n")
        let error = #expect(throws: CUDAError.self) { try image(compiler(folder), bad) }
        #expect(error?.code == "NVRTC_ERROR_COMPILATION")
        #expect(error?.problem.contains("bad.cu(1)") == true)
        #expect(!FileSystem.exists(folder))
    }

    @Test func `a backend fills the cache`() throws {
        defer { try? FileSystem.remove(folder) }
        let backend = try CUDABackend(
            precision: .float32, search: Simulator.search(cache: folder))
        let x = try backend.tensor([1, 2, 3] as [Float], [3])
        backend.add(x, to: x)
        #expect(try backend.floats(x) == [2, 4, 6])
        #expect(try files().contains { $0.hasPrefix("elementwise.cu-") })
    }
}
