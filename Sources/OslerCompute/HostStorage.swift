internal import COslerKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What can go wrong while computing: memory, or the device.
package struct ComputeError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Memory of the host, for backends that compute there.
package enum HostStorage {
    /// Uninitialised memory aligned to 64 bytes at least (a cache line and the widest vector), in huge pages where it is
    /// large.
    package static func allocate(byteCount: Int) throws -> Storage {
        precondition(byteCount >= 0)
        guard let memory = ok_memory_allocate(byteCount) else {
            throw ComputeError("out of memory: \(byteCount) bytes of host memory asked for")
        }
        return Storage(base: memory, byteCount: byteCount) { ok_memory_free($0) }
    }

    /// Zeros, in small pages that take memory when they are first touched.
    package static func allocateUntouched(byteCount: Int) throws -> Storage {
        let memory = mmap(
            nil, max(byteCount, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            throw ComputeError("out of memory: \(byteCount) bytes of host memory asked for")
        }
        #if os(Linux)
            madvise(memory, max(byteCount, 1), MADV_NOHUGEPAGE)
        #endif
        return Storage(base: memory, byteCount: byteCount) { munmap($0, max(byteCount, 1)) }
    }

    /// Bytes used where they are; `owner` keeps them there.
    package static func adopt(
        _ bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
    ) -> Storage {
        precondition(bytes.baseAddress != nil)
        return Storage(
            base: UnsafeMutableRawPointer(mutating: bytes.baseAddress!), byteCount: bytes.count,
            source: owner as? any RereadableMemory
        ) { _ in withExtendedLifetime(owner) {} }
    }
}

extension Backend {
    /// A new tensor with memory of its own, not initialised.
    package func tensor(_ dtype: DType, _ shape: [Int]) throws -> Tensor {
        let byteCount = shape.reduce(1, *) * dtype.byteWidth
        return Tensor(storage: try allocate(byteCount: byteCount), dtype: dtype, shape: shape)
    }

    /// A new tensor that holds these float32 values, rounded where `dtype` is bfloat16 or float16.
    package func tensor(_ values: [Float], _ dtype: DType, _ shape: [Int]) throws
        -> Tensor
    {
        let result = try tensor(dtype, shape)
        precondition(values.count == result.count, "\(values.count) values for \(shape)")
        if dtype == .float32 {
            values.withUnsafeBytes { write($0, to: result) }
        } else {
            values.map(dtype.bits).withUnsafeBytes { write($0, to: result) }
        }
        return result
    }

    package func tensor(_ values: [Float], _ shape: [Int]) throws -> Tensor {
        try tensor(values, .float32, shape)
    }

    package func tensor(_ values: [Int32], _ shape: [Int]) throws -> Tensor {
        let result = try tensor(.int32, shape)
        precondition(values.count == result.count, "\(values.count) values for \(shape)")
        values.withUnsafeBytes { write($0, to: result) }
        return result
    }

    package func tensor(_ values: [UInt8], _ shape: [Int]) throws -> Tensor {
        let result = try tensor(.uint8, shape)
        precondition(values.count == result.count, "\(values.count) values for \(shape)")
        values.withUnsafeBytes { write($0, to: result) }
        return result
    }

    /// The elements of a float32, bfloat16 or float16 tensor.
    package func floats(_ tensor: Tensor) throws -> [Float] {
        if tensor.dtype == .bfloat16 || tensor.dtype == .float16 {
            var bits = [UInt16](repeating: 0, count: tensor.count)
            try bits.withUnsafeMutableBytes { try read(tensor, into: $0) }
            return bits.map(tensor.dtype.float)
        }
        precondition(tensor.dtype == .float32)
        var values = [Float](repeating: 0, count: tensor.count)
        try values.withUnsafeMutableBytes { try read(tensor, into: $0) }
        return values
    }

    /// The elements of a tensor as raw bytes.
    package func bytes(_ tensor: Tensor) throws -> [UInt8] {
        var values = [UInt8](repeating: 0, count: tensor.byteCount)
        try values.withUnsafeMutableBytes { try read(tensor, into: $0) }
        return values
    }
}
