internal import CCUDA

/// The driver's functions, loaded and initialised. Immutable.
///
/// `@unchecked Sendable`: a table of C functions, which the driver lets any thread call.
package struct Driver: @unchecked Sendable {
    let call: ccuda_driver
    /// Where it was found.
    package let path: String
    /// The newest CUDA that it supports, as `major * 1000 + minor * 10`.
    package let version: Int

    init(_ table: ccuda_driver, path: String) throws(CUDAError) {
        (call, self.path) = (table, path)
        var version: Int32 = 0
        try Self.check(table, table.cuInit(0), "cuInit")
        try Self.check(table, table.cuDriverGetVersion(&version), "cuDriverGetVersion")
        self.version = Int(version)
    }

    /// Turns a status into an error that names the call, the code and what to do.
    func check(_ status: CUresult, _ name: @autoclosure () -> String) throws(CUDAError) {
        if status != 0 { try Self.check(call, status, name()) }
    }

    private static func check(_ table: ccuda_driver, _ status: CUresult, _ name: String)
        throws(CUDAError)
    {
        guard status != 0 else { return }
        var (code, text): (UnsafePointer<CChar>?, UnsafePointer<CChar>?)
        _ = table.cuGetErrorName(status, &code)
        _ = table.cuGetErrorString(status, &text)
        throw CUDAError(
            call: name, code: code.map { String(cString: $0) } ?? "CUDA error \(status)",
            problem: text.map { String(cString: $0) } ?? "no description",
            remedy: remedy(for: Int(status)))
    }

    private static func remedy(for status: Int) -> String? {
        switch status {
        case CCUDA_ERROR_OUT_OF_MEMORY:
            "free the GPU of other programs (nvidia-smi shows them), use gradient_checkpointing, "
                + "load_in_4bit or device_map: auto, or lower per_device_train_batch_size or "
                + "max_length"
        case CCUDA_ERROR_NO_DEVICE:
            "check that nvidia-smi lists a GPU and that CUDA_VISIBLE_DEVICES doesn't hide it"
        case CCUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
            "restart the machine: the driver was updated while its kernel module was loaded"
        case CCUDA_ERROR_ECC_UNCORRECTABLE, CCUDA_ERROR_UNKNOWN:
            "the GPU or its driver has lost its state: restart the machine, then go on from the last "
                + "checkpoint with --resume"
        case CCUDA_ERROR_INVALID_IMAGE, CCUDA_ERROR_NO_BINARY_FOR_GPU,
            CCUDA_ERROR_UNSUPPORTED_PTX_VERSION:
            "install an NVRTC of the driver's CUDA version (osler doctor shows both)"
        case 700...719:
            "this is a defect of a kernel or the GPU: report it with the output of osler doctor"
        default: nil
        }
    }
}
