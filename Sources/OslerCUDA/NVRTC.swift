internal import CCUDA

/// The run-time compiler: CUDA C++ text to a program for one architecture.
///
/// `@unchecked Sendable`: a table of C functions, each of which any thread may call.
package struct NVRTC: @unchecked Sendable {
    let call: ccuda_nvrtc
    package let path: String
    package let version: (major: Int, minor: Int)
    /// Architectures that it can compile for, ascending: 80, 90, ...
    package let architectures: [Int]

    init(_ table: ccuda_nvrtc, path: String) throws(CUDAError) {
        (call, self.path) = (table, path)
        var (major, minor, count): (Int32, Int32, Int32) = (0, 0, 0)
        try Self.check(table, table.nvrtcVersion(&major, &minor), "nvrtcVersion")
        version = (Int(major), Int(minor))
        try Self.check(
            table, table.nvrtcGetNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs")
        var list = [Int32](repeating: 0, count: max(Int(count), 1))
        try Self.check(table, table.nvrtcGetSupportedArchs(&list), "nvrtcGetSupportedArchs")
        architectures = list.prefix(Int(count)).map(Int.init).sorted()
    }

    /// What to compile for a card: its own architecture, else the nearest older one of its
    /// generation (programs run on later cards of a generation), else PTX of the newest older
    /// generation, which the driver compiles on.
    enum Target: Equatable, CustomStringConvertible {
        case program(Int), ptx(Int)

        var description: String {
            switch self {
            case .program(let architecture): "sm_\(architecture)"
            case .ptx(let architecture): "compute_\(architecture)"
            }
        }
    }

    func target(forArchitecture architecture: Int) throws(CUDAError) -> Target {
        if let found = architectures.last(where: {
            $0 <= architecture && $0 / 10 == architecture / 10
        }) {
            return .program(found)
        }
        if let found = architectures.last(where: { $0 <= architecture }) { return .ptx(found) }
        throw CUDAError(
            call: "nvrtcGetSupportedArchs",
            problem: "NVRTC \(version.major).\(version.minor) compiles for none that a card of "
                + "compute capability \(architecture / 10).\(architecture % 10) runs",
            remedy: "install the NVRTC of an earlier CUDA: pip install nvidia-cuda-nvrtc-cu12")
    }

    /// The program for `target` and the compiler's warnings. `headers` are found by `#include`
    /// under their names.
    func compile(
        _ source: String, name: String, headers: [(name: String, text: String)], target: Target
    ) throws(CUDAError) -> (image: [UInt8], log: String) {
        var program: nvrtcProgram?
        let status = withCStrings([source, name] + headers.flatMap { [$0.text, $0.name] }) {
            strings in
            let texts = stride(from: 2, to: strings.count, by: 2).map { Optional(strings[$0]) }
            let names = stride(from: 3, to: strings.count, by: 2).map { Optional(strings[$0]) }
            return call.nvrtcCreateProgram(
                &program, strings[0], strings[1], Int32(headers.count), texts, names)
        }
        try check(status, "nvrtcCreateProgram")
        guard let program else {
            throw CUDAError(call: "nvrtcCreateProgram", problem: "gave no program")
        }
        defer {
            var gone: nvrtcProgram? = program
            _ = call.nvrtcDestroyProgram(&gone)
        }
        let options = Self.options + ["--gpu-architecture=\(target)"]
        let compiled = withCStrings(options) { strings in
            call.nvrtcCompileProgram(program, Int32(strings.count), strings.map(Optional.init))
        }
        let bytes = try read(program, "Log", call.nvrtcGetProgramLogSize, call.nvrtcGetProgramLog)
        let log = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        try check(compiled, "nvrtcCompileProgram(\(name), \(target))", log: log)
        let image =
            switch target {
            case .program:
                try read(program, "CUBIN", call.nvrtcGetCUBINSize, call.nvrtcGetCUBIN)
            case .ptx: try read(program, "PTX", call.nvrtcGetPTXSize, call.nvrtcGetPTX)
            }
        return (image, log)
    }

    /// Nothing that trades exactness for speed; kernels ask for what they want by name.
    static let options = ["--std=c++17", "-default-device", "--fmad=true"]

    private func read(
        _ program: nvrtcProgram, _ what: String,
        _ size: (nvrtcProgram, UnsafeMutablePointer<Int>) -> nvrtcResult,
        _ get: (nvrtcProgram, UnsafeMutablePointer<CChar>) -> nvrtcResult
    ) throws(CUDAError) -> [UInt8] {
        var count = 0
        try check(size(program, &count), "nvrtcGet\(what)Size")
        guard count > 0 else { return [] }
        var bytes = [CChar](repeating: 0, count: count)
        try check(get(program, &bytes), "nvrtcGet\(what)")
        return bytes.map { UInt8(bitPattern: $0) }
    }

    private func check(_ status: nvrtcResult, _ name: String, log: String = "") throws(CUDAError) {
        try Self.check(call, status, name, log: log)
    }

    private static func check(
        _ table: ccuda_nvrtc, _ status: nvrtcResult, _ name: String, log: String = ""
    ) throws(CUDAError) {
        guard status != 0 else { return }
        // NVRTC_ERROR_COMPILATION has all there is to say in the log.
        throw CUDAError(
            call: name, code: String(cString: table.nvrtcGetErrorString(status)),
            problem: log.isEmpty ? "status \(status)" : log,
            remedy: log.isEmpty ? "install it anew: pip install nvidia-cuda-nvrtc" : nil)
    }
}

/// Calls `body` with C copies of the strings that live until it returns.
func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafePointer<CChar>]) -> Result
) -> Result {
    let copies = strings.map { string in
        let bytes = string.utf8CString
        let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
        _ = copy.initialize(from: bytes)
        return copy
    }
    defer { for copy in copies { copy.deallocate() } }
    return body(copies.compactMap { UnsafePointer($0.baseAddress) })
}
