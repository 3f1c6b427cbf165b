import OslerCUDA
import Testing

/// The real compiler on the real sources, where one is found: on this machine, or by `OSLER_NVRTC`.
@Suite struct KernelCompilationTests {
    static let nvrtc = try? LibrarySearch.standard.nvrtc(driverMajor: nil)
    static let architectures = [75, 80, 90, 100, 120]

    @Test(
        .enabled(
            if: nvrtc != nil,
            "no NVRTC: pip install nvidia-cuda-nvrtc, and set OSLER_NVRTC to its libnvrtc.so"),
        arguments: KernelSources.embedded.files.map(\.name), architectures)
    func `every kernel compiles`(name: String, architecture: Int) throws {
        let nvrtc = try #require(Self.nvrtc)
        guard nvrtc.architectures.contains(architecture) else { return }
        let sources = KernelSources.embedded
        let file = try #require(sources.files.first { $0.name == name })
        let image = try KernelCompiler(nvrtc: nvrtc, cache: nil).image(
            of: file, prelude: sources.prelude, architecture: architecture)
        #expect(image.starts(with: [0x7F, 0x45, 0x4C, 0x46]), "not an ELF image")
        let text = String(decoding: image, as: UTF8.self)
        for kernel in file.kernels {
            // Turing multiplies in float16 only.
            let isThere = architecture >= 80 || !kernel.contains("bf16")
            #expect(text.contains(kernel) == isThere, "\(kernel)")
        }
    }

    @Test func `every file has kernels, and no two have the same`() {
        let kernels = KernelSources.embedded.files.flatMap(\.kernels)
        #expect(KernelSources.embedded.files.allSatisfy { !$0.kernels.isEmpty })
        #expect(Set(kernels).count == kernels.count)
        #expect(kernels.allSatisfy { $0.hasPrefix("osler_") })
    }
}
