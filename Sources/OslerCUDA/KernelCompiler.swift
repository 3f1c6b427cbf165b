/// Source text to a loadable image, by way of the cache on disk.
package struct KernelCompiler {
    let nvrtc: NVRTC
    let cache: KernelCache?

    package init(nvrtc: NVRTC, cache: KernelCache?) { (self.nvrtc, self.cache) = (nvrtc, cache) }

    package func image(
        of source: KernelSources.File, prelude: KernelSources.File, architecture: Int
    ) throws(CUDAError) -> [UInt8] {
        let target = try nvrtc.target(forArchitecture: architecture)
        let key = KernelCache.Key(
            name: source.name,
            content: [
                source.text, prelude.text, "\(target)",
                "NVRTC \(nvrtc.version.major).\(nvrtc.version.minor)",
            ] + NVRTC.options)
        if let image = cache?.image(for: key) { return image }
        let result = try nvrtc.compile(
            source.text, name: source.name, headers: [(prelude.name, prelude.text)],
            target: target)
        cache?.store(endingWithZero(result.image, target), for: key)
        return endingWithZero(result.image, target)
    }

    /// The driver reads PTX as a C string.
    private func endingWithZero(_ image: [UInt8], _ target: NVRTC.Target) -> [UInt8] {
        if case .ptx = target, image.last != 0 { return image + [0] }
        return image
    }
}
