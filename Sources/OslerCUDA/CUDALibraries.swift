#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import CCUDA
internal import OslerFormats

extension LibrarySearch {
    /// By the environment of this process.
    package static let standard = LibrarySearch { name in
        getenv(name).map { String(cString: $0) }
    }

    var isUbuntu: Bool {
        let text = (try? FileSystem.readText("/etc/os-release")) ?? ""
        return text.split(separator: "\n").contains("ID=ubuntu")
    }

    // MARK: Loading

    package func driver() throws(CUDAError) -> Driver {
        let (table, path) = try load(.driver, nil, ccuda_load_driver) {
            unsafeBitCast($0.cuInit, to: UnsafeRawPointer.self)
        }
        return try Driver(table, path: path)
    }

    package func nvrtc(driverMajor: Int?) throws(CUDAError) -> NVRTC {
        let (table, path) = try load(.nvrtc, driverMajor, ccuda_load_nvrtc) {
            unsafeBitCast($0.nvrtcVersion, to: UnsafeRawPointer.self)
        }
        return try NVRTC(table, path: path)
    }

    package func cublasLt(driverMajor: Int?) throws(CUDAError) -> CublasLt {
        let (table, path) = try load(.cublasLt, driverMajor, ccuda_load_lt) {
            unsafeBitCast($0.cublasLtCreate, to: UnsafeRawPointer.self)
        }
        return CublasLt(table, path: path)
    }

    private typealias Loader<Table> = (
        UnsafePointer<CChar>, UnsafeMutablePointer<Table>, UnsafeMutablePointer<CChar>, Int
    ) -> Int32

    /// The first candidate that opens and has every function.
    private func load<Table>(
        _ library: CUDALibrary, _ driverMajor: Int?, _ loader: Loader<Table>,
        anyFunction: (Table) -> UnsafeRawPointer
    ) throws(CUDAError) -> (Table, path: String) {
        let table = UnsafeMutablePointer<Table>.allocate(capacity: 1)
        defer { table.deallocate() }
        var problems: [String] = []
        for path in library.candidates(in: self, driverMajor: driverMajor) {
            var text = [CChar](repeating: 0, count: 1024)
            let result = Int(loader(path, table, &text, text.count))
            if result == CCUDA_LOADED {
                let file = ccuda_file_of(anyFunction(table.pointee)).map { String(cString: $0) }
                return (table.pointee, file ?? path)
            }
            let detail = String(
                decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            problems.append(
                result == CCUDA_MISSING_SYMBOL ? "\(path) has no \(detail)" : detail)
        }
        let override = environment(library.override).map { !$0.isEmpty } ?? false
        let command = library.installation(driverMajor: driverMajor, isUbuntu: isUbuntu)
        throw CUDAError(
            call: "dlopen", problem: "no \(library.title): " + problems.joined(separator: ", "),
            remedy: override
                ? "set \(library.override) to the library's file, or unset it"
                : "install it: \(command)")
    }
}
