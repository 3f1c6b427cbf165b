internal import CCUDA

/// A function of a loaded module.
struct Kernel {
    let name: String
    let function: CUfunction
    /// Dynamic shared memory that it may be launched with.
    var sharedLimit: Int
}

/// Kernels by name, compiled for one card when they are first asked for, each file at once.
///
/// Not for two threads at a time, as the backend that owns it.
final class KernelLibrary {
    /// What a kernel may use without asking.
    private static let defaultShared = 48 << 10

    private let device: Device
    private let sources: KernelSources
    private let compiler: KernelCompiler
    private var modules: [Int: CUmodule] = [:]
    private var kernels: [String: Kernel] = [:]

    init(
        on device: Device, compiler: KernelCompiler, sources: KernelSources = .embedded
    ) {
        (self.device, self.compiler, self.sources) = (device, compiler, sources)
    }

    deinit {
        guard (try? device.activate()) != nil else { return }
        for module in modules.values { _ = device.driver.call.cuModuleUnload(module) }
    }

    /// `osler_NAME`, allowed to use `sharedBytes` of dynamic shared memory.
    func kernel(_ name: String, sharedBytes: Int) throws(CUDAError) -> Kernel {
        if let kernel = kernels[name], kernel.sharedLimit >= sharedBytes { return kernel }
        var kernel: Kernel
        if let known = kernels[name] { kernel = known } else { kernel = try load(name) }
        if kernel.sharedLimit < sharedBytes {
            try device.driver.check(
                device.driver.call.cuFuncSetAttribute(
                    kernel.function, Int32(CCUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES),
                    Int32(sharedBytes)),
                "cuFuncSetAttribute(\(name), \(sharedBytes) bytes of shared memory)")
            kernel.sharedLimit = sharedBytes
        }
        kernels[name] = kernel
        return kernel
    }

    private func load(_ name: String) throws(CUDAError) -> Kernel {
        let symbol = "osler_" + name
        guard let file = sources.file(of: symbol) else {
            preconditionFailure("no kernel file has a REGISTER line for \(symbol)")
        }
        let module = try module(ofFile: file)
        var function: CUfunction?
        let driver = device.driver
        try driver.check(
            driver.call.cuModuleGetFunction(&function, module, symbol),
            "cuModuleGetFunction(\(symbol))")
        guard let function else {
            throw CUDAError(call: "cuModuleGetFunction(\(symbol))", problem: "gave no function")
        }
        return Kernel(name: symbol, function: function, sharedLimit: Self.defaultShared)
    }

    private func module(ofFile file: Int) throws(CUDAError) -> CUmodule {
        if let module = modules[file] { return module }
        let module = try load(file: file)
        modules[file] = module
        return module
    }

    private func load(file: Int) throws(CUDAError) -> CUmodule {
        let source = sources.files[file]
        let image = try compiler.image(
            of: source, prelude: sources.prelude, architecture: device.description.architecture)
        var module: CUmodule?
        let driver = device.driver
        try device.activate()
        try driver.check(
            image.withUnsafeBytes { bytes -> CUresult in
                guard let base = bytes.baseAddress else {
                    return CUresult(CCUDA_ERROR_INVALID_IMAGE)
                }
                return driver.call.cuModuleLoadData(&module, base)
            }, "cuModuleLoadData(\(source.name))")
        guard let module else {
            throw CUDAError(call: "cuModuleLoadData(\(source.name))", problem: "gave no module")
        }
        return module
    }

    /// Compiles all there is, so that a run doesn't stop for it later.
    func loadAll() throws(CUDAError) {
        for index in sources.files.indices { _ = try module(ofFile: index) }
    }
}
