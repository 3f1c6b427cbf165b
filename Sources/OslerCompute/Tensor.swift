/// The number format of a tensor's elements.
package enum DType: UInt8, Sendable, Hashable {
    case float32, bfloat16, int32, uint8, float16

    package var byteWidth: Int {
        switch self {
        case .float32, .int32: 4
        case .bfloat16, .float16: 2
        case .uint8: 1
        }
    }
}

/// What matrix products compute in: `float32` is the reference mode; `bfloat16` and `float16` round
/// both operands to that type and accumulate in float32. Activations between ops are stored in the
/// same format. Training in float16 needs a scaled loss: values below 6e-8 become 0, those beyond
/// 65504 infinite.
package enum Precision: String, Sendable, Hashable {
    case float32, bfloat16, float16

    package var activationType: DType {
        switch self {
        case .float32: .float32
        case .bfloat16: .bfloat16
        case .float16: .float16
        }
    }
}

/// A piece of memory that a backend owns: host memory for CPU backends, device memory otherwise.
///
/// `@unchecked Sendable`: the pointer and size never change; who writes when is the owner's business (a model under
/// training has one owner).
package final class Storage: @unchecked Sendable {
    package let base: UnsafeMutableRawPointer
    package let byteCount: Int
    /// Which device of a `DeviceGroup` it belongs to.
    package let place: Int
    private let source: (any RereadableMemory)?
    private let release: @Sendable (UnsafeMutableRawPointer) -> Void

    /// - Parameter source: what lends the memory, where that can be read again.
    package init(
        base: UnsafeMutableRawPointer, byteCount: Int, place: Int = 0,
        source: (any RereadableMemory)? = nil,
        release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
    ) {
        (self.base, self.byteCount, self.place) = (base, byteCount, place)
        (self.source, self.release) = (source, release)
    }

    deinit { release(base) }

    /// Says that the content isn't needed for a while: where it lies in a mapped file, its pages go.
    package func releasePages() {
        source?.release(UnsafeRawBufferPointer(start: base, count: byteCount))
    }
}

/// Memory whose content the system can give up and read again: a mapped file.
package protocol RereadableMemory: AnyObject, Sendable {
    /// `bytes`, a part of it, needn't stay in memory.
    func release(_ bytes: UnsafeRawBufferPointer)
}

/// A dense row-major view of storage. A value: copying it copies the view, not the elements.
package struct Tensor: Sendable {
    package let storage: Storage
    package let byteOffset: Int
    package let dtype: DType
    package let shape: [Int]

    package init(storage: Storage, byteOffset: Int = 0, dtype: DType, shape: [Int]) {
        precondition(
            byteOffset >= 0
                && byteOffset + shape.reduce(1, *) * dtype.byteWidth <= storage.byteCount,
            "tensor \(shape) of \(dtype) at \(byteOffset) exceeds its storage of \(storage.byteCount) bytes"
        )
        (self.storage, self.byteOffset, self.dtype, self.shape) = (
            storage, byteOffset, dtype, shape
        )
    }

    package var count: Int { shape.reduce(1, *) }
    package var byteCount: Int { count * dtype.byteWidth }
    /// Elements in one row: the product of all but the first extent.
    package var rowCount: Int { shape[0] }
    package var columns: Int { shape.dropFirst().reduce(1, *) }

    package func reshaped(_ shape: [Int]) -> Tensor {
        precondition(shape.reduce(1, *) == count, "reshape \(self.shape) to \(shape)")
        return Tensor(storage: storage, byteOffset: byteOffset, dtype: dtype, shape: shape)
    }

    /// Rows `range` of the first axis.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.upperBound <= shape[0], "rows \(range) of \(shape)")
        return Tensor(
            storage: storage, byteOffset: byteOffset + range.lowerBound * columns * dtype.byteWidth,
            dtype: dtype,
            shape: [range.count] + shape.dropFirst())
    }

    /// The first element; for host backends a host address.
    package var address: UnsafeMutableRawPointer { storage.base + byteOffset }

    /// Elements as `T`; only for tensors of host backends.
    package func elements<T>(as type: T.Type) -> UnsafeMutableBufferPointer<T> {
        precondition(
            MemoryLayout<T>.stride == dtype.byteWidth, "\(T.self) elements of a \(dtype) tensor")
        return UnsafeMutableBufferPointer(
            start: address.assumingMemoryBound(to: T.self), count: count)
    }
}
