internal import CCUDA

/// cuBLASLt's functions. Immutable.
///
/// `@unchecked Sendable`: a table of C functions, each of which any thread may call.
package struct CublasLt: @unchecked Sendable {
    let call: ccuda_lt_table
    package let path: String

    init(_ table: ccuda_lt_table, path: String) { (call, self.path) = (table, path) }

    /// As `major * 10000 + minor * 100 + patch`.
    package var version: Int { call.cublasLtGetVersion() }

    func check(_ status: cublasStatus, _ name: @autoclosure () -> String) throws(CUDAError) {
        guard status != 0 else { return }
        throw CUDAError(
            call: name(), code: String(cString: call.cublasLtGetStatusName(status)),
            problem: "status \(status)", remedy: Self.remedy(for: Int(status)))
    }

    private static func remedy(for status: Int) -> String? {
        switch status {
        case 1: "use a cuBLASLt of the driver's CUDA version (osler doctor shows both)"
        case 3: "free the GPU of other programs (nvidia-smi shows them)"
        case 8: "use a card of compute capability 8.0 or newer"
        default: nil
        }
    }
}

/// cuBLASLt at work on a card: its handle and workspace.
final class CublasLtHandle {
    /// What NVIDIA recommends for Hopper; enough for every kernel that needs none of split sums.
    static let workspaceBytes = 32 << 20

    let library: CublasLt
    let device: Device
    let handle: cublasLtHandle
    let workspace: DeviceBuffer
    /// For as many kinds as a run has: a few a layer's shape.
    var algorithms: [MatrixProduct.Kind: KnownAlgorithm] = [:]

    init(_ library: CublasLt, on device: Device) throws(CUDAError) {
        var handle: cublasLtHandle?
        try device.activate()
        try library.check(library.call.cublasLtCreate(&handle), "cublasLtCreate")
        guard let handle else { throw CUDAError(call: "cublasLtCreate", problem: "gave no handle") }
        (self.library, self.device, self.handle) = (library, device, handle)
        workspace = try DeviceBuffer(on: device, byteCount: Self.workspaceBytes)
    }

    deinit {
        try? device.activate()
        _ = library.call.cublasLtDestroy(handle)
    }
}
