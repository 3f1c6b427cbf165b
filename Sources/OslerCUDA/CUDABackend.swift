// The CUDA backend, host side. For the one who writes an operation's wrapper:
//
// - A wrapper checks shapes and types with `precondition`, then calls
//   `launch("name", grid: Grid(x, y), block: 256, shared: bytes, arguments...)`: it queues the kernel
//   `osler_name`, whose file is found by its REGISTER line, compiled when first asked for and kept.
//   Tensors pass as pointers (an optional one as 0), integers as Int32 (`int`) or Int64
//   (`long long`), floats as Float. `tensor.kernelType` is the element type as kernels know it.
// - Nothing throws: the first failure is kept, later calls do nothing, `synchronize` and `read` throw.
// - Scratch comes from `scratch(.slot, byteCount)`, which grows and is kept. A slot belongs to one
//   operation at a time; what it held before is gone.
// - Memory operations are in CUDABackend+Memory.swift, products in +Products.swift.
internal import CCUDA
internal import Synchronization
package import OslerCompute

/// The backend of an NVIDIA card: kernels compiled at run time, products by cuBLASLt, one stream.
///
/// Storage's base is an address of the card. One thread at a time may call it.
/// `@unchecked Sendable`: as with every backend, one caller at a time; memory is freed from any
/// thread by `Device`, which is constant.
package final class CUDABackend: Backend, @unchecked Sendable {
    package let precision: Precision
    let device: Device
    let kernels: KernelLibrary
    let cublasLt: CublasLtHandle
    /// The first failure; nothing is done after it.
    private(set) var failure: CUDAError?
    var scratchBuffers: [ScratchSlot: Tensor] = [:]
    /// Of `CUDABackend+Sequences.swift`.
    var keptTiles: [AttentionTiles] = []
    /// Of `CUDABackend+Optimizer.swift`: the values of 8-bit states.
    var dynamicMaps: Tensor?
    let staging: StagingRing
    /// For copies between cards: recorded where one may begin, and where it is done.
    let crossing: Event

    /// - Parameter precision: nil: bfloat16, or float16 where the card has no bfloat16.
    /// - Throws: `CUDAError` when a library is missing, or the card can't be used, or not in
    ///   `precision`.
    package init(
        precision: Precision?, device index: Int = 0, search: LibrarySearch = .standard,
        sources: KernelSources = .embedded
    ) throws(CUDAError) {
        let driver = try search.driver()
        let major = driver.version / 1000
        guard driver.version >= Self.oldestDriver else {
            throw CUDAError(
                call: "cuDriverGetVersion",
                problem: "the driver is too old: it is of CUDA "
                    + "\(major).\(driver.version % 1000 / 10)",
                remedy: "install a driver of CUDA 12 or newer: "
                    + CUDALibrary.driver.installation(driverMajor: nil, isUbuntu: search.isUbuntu))
        }
        let nvrtc = try search.nvrtc(driverMajor: major)
        let lt = try search.cublasLt(driverMajor: major)
        let count = try driver.devices().count
        guard index >= 0, index < count else {
            throw Self.missing(index, of: count)
        }
        let device = try Device(driver, index: index)
        self.precision = try Self.check(precision, for: device.description)
        self.device = device
        kernels = KernelLibrary(
            on: device,
            compiler: KernelCompiler(
                nvrtc: nvrtc, cache: .standard(search.environment)), sources: sources)
        cublasLt = try CublasLtHandle(lt, on: device)
        staging = try StagingRing(on: device)
        crossing = try Event(on: device)
    }

    private static func missing(_ index: Int, of count: Int) -> CUDAError {
        let (problem, remedy) =
            switch count {
            case 0:
                (
                    "there is no GPU",
                    "check that nvidia-smi lists one and that CUDA_VISIBLE_DEVICES doesn't hide it"
                )
            case 1: ("there is one GPU", "ask for cuda:0")
            default: ("there are \(count) GPUs", "ask for cuda:0 to cuda:\(count - 1)")
            }
        return CUDAError(call: "cuDeviceGet(\(index))", problem: problem, remedy: remedy)
    }

    /// The libraries that are looked for begin with CUDA 12.0.
    private static let oldestDriver = 12_000

    /// Products in bfloat16 and asynchronous copies begin with compute capability 8.0; for 7.5
    /// (Turing) there are kernels in float16.
    private static func check(
        _ precision: Precision?, for card: DeviceDescription
    ) throws(CUDAError) -> Precision {
        if card.architecture >= 80 { return precision ?? .bfloat16 }
        let isTuring = card.architecture == 75
        if isTuring, precision == nil || precision == .float16 { return .float16 }
        let (major, minor) = (card.architecture / 10, card.architecture % 10)
        throw CUDAError(
            call: "cuDeviceGetAttribute",
            problem: "\(card.name) has compute capability \(major).\(minor)"
                + (isTuring ? " and computes in float16 only" : ""),
            remedy: isTuring
                ? "write fp16: true or --dtype float16, or use device: cpu"
                : "use a card of 8.0 (Ampere) or newer, or 7.5 (Turing, in float16), or device: cpu"
        )
    }

    package var name: String { "cuda-sm\(device.description.architecture)" }
    package var card: DeviceDescription { device.description }
    package var usesHostMemory: Bool { false }

    /// Bytes that the card could still give.
    package func freeBytes() throws -> Int { try device.freeBytes() }
    /// The most bytes that this process has held on the card, beside the driver's own.
    package var peakBytes: Int { device.held.withLock { $0.peak } }

    /// Runs `body` with the card's context current, unless something failed before.
    func perform(_ body: () throws(CUDAError) -> Void) {
        guard failure == nil else { return }
        do {
            try device.activate()
            try body()
        } catch {
            failure = error
        }
    }

    /// - Throws: the first failure.
    func checkHealth() throws(CUDAError) {
        if let failure { throw failure }
    }

    package func synchronize() throws {
        perform { () throws(CUDAError) in try device.synchronize() }
        try checkHealth()
    }
}
