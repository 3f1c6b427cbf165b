#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import COslerKernels

/// Why a CPU backend can't start. One line, fit to show.
package struct CPUBackendError: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// The backend of every machine: C kernels chosen by instruction set, on one pool of threads.
///
/// Its parts: `CPUBackend+Products` (multiply), `+Loss`, `+Elementwise`, `+Attention`. One thread at a time may call it.
/// `@unchecked Sendable`: the pool and scratch stop the process when two threads use it at once; all else is constant.
package final class CPUBackend: Backend, @unchecked Sendable {
    /// An instruction set with kernels of its own, each including the ones before it.
    package enum ISA: UInt32, Sendable, CaseIterable {
        case portable = 0, avx2, avx512, avx512bf16

        package var isSupported: Bool { ok_isa_supported(ok_isa(rawValue)) }
        package static var best: ISA { ISA(rawValue: ok_isa_best().rawValue) ?? .portable }
        package static var supported: [ISA] { allCases.filter(\.isSupported) }
        var name: String { "\(self)" }
    }

    package let precision: Precision
    package let isa: ISA
    package let pool: ThreadPool
    /// The tile machinery for `precision` products.
    let tile: OpaquePointer
    /// Scratch of `multiply`; not for kernels that call it.
    let productScratch: OpaquePointer
    /// Scratch of every other kernel.
    let scratch: OpaquePointer

    /// Defaults: all cores of the process's affinity mask (or `OSLER_THREADS`), the best instruction set (or
    /// `OSLER_ISA=portable|avx2|avx512|avx512bf16`).
    /// - Throws: `CPUBackendError` when the CPU lacks that instruction set, there are no threads to
    ///   be had, or `precision` is float16.
    package init(precision: Precision, threads: Int? = nil, isa: ISA? = nil)
        throws(CPUBackendError)
    {
        guard precision != .float16 else {
            throw CPUBackendError("the CPU computes in bfloat16 or float32, not in float16")
        }
        let isa = try Self.chosen(isa)
        guard isa.isSupported else {
            let names = ISA.supported.map(\.name).joined(separator: ", ")
            throw CPUBackendError("this CPU has no \(isa.name); it can run: \(names)")
        }
        (self.precision, self.isa) = (precision, isa)
        pool = try ThreadPool(threads: Self.chosen(threads))
        guard let products = ok_scratch_create(), let scratch = ok_scratch_create() else {
            throw CPUBackendError("out of memory")
        }
        (productScratch, self.scratch) = (products, scratch)
        tile = ok_tile_get(ok_isa(isa.rawValue), precision == .bfloat16)
    }

    deinit {
        ok_scratch_destroy(productScratch)
        ok_scratch_destroy(scratch)
    }

    package var name: String { "cpu-\(isa.name)" }

    private static func chosen(_ isa: ISA?) throws(CPUBackendError) -> ISA {
        if let isa { return isa }
        guard let name = environment("OSLER_ISA") else { return .best }
        guard let isa = ISA.allCases.first(where: { $0.name == name }) else {
            let names = ISA.allCases.map(\.name).joined(separator: ", ")
            throw CPUBackendError("OSLER_ISA=\(name) is unknown; use one of \(names)")
        }
        return isa
    }

    private static func chosen(_ threads: Int?) throws(CPUBackendError) -> Int {
        if let threads { return threads }
        guard let text = environment("OSLER_THREADS") else { return ThreadPool.availableCores }
        guard let threads = Int(text), threads >= 1 else {
            throw CPUBackendError("OSLER_THREADS=\(text) is not a number of threads")
        }
        return threads
    }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    // MARK: Memory

    package func adopt(
        _ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) throws -> Storage { HostStorage.adopt(bytes, owner: owner) }

    package func allocate(byteCount: Int) throws -> Storage {
        guard byteCount >= 0, let memory = ok_memory_allocate(byteCount) else {
            throw CPUBackendError("out of memory: \(byteCount) bytes asked for")
        }
        return Storage(base: memory, byteCount: byteCount) { ok_memory_free($0) }
    }

    package func write(_ bytes: UnsafeRawBufferPointer, to tensor: Tensor) {
        precondition(bytes.count == tensor.byteCount)
        if let base = bytes.baseAddress { memcpy(tensor.address, base, bytes.count) }
    }

    package func read(_ tensor: Tensor, into bytes: UnsafeMutableRawBufferPointer) throws {
        precondition(bytes.count == tensor.byteCount)
        if let base = bytes.baseAddress { memcpy(base, tensor.address, bytes.count) }
    }

    package func zero(_ tensor: Tensor) {
        pool.runPieces(of: tensor.byteCount, grain: 1 << 20) { range, _ in
            memset(tensor.address + range.lowerBound, 0, range.count)
        }
    }

    package func synchronize() throws {}
}
