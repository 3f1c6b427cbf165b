package import OslerCompute

/// What an op left in one tensor.
package struct Outcome: Sendable {
    package let name: String
    package let dtype: DType
    /// Elements of float types, or bytes as numbers.
    package let values: [Float]
}

/// One execution of a conformance case on a backend: makes its inputs (the same on every backend)
/// and collects what the ops left behind.
///
/// Every tensor lies between guard bytes that must survive; there are none where the address
/// sanitizer guards each tensor's memory, which sees reads too. `misaligned` puts it one element past
/// a 64-byte boundary, where a view of rows can start. What cases call bfloat16 is float16 on
/// backends of that precision.
package final class ConformanceRun {
    package let backend: any Backend
    package private(set) var outcomes: [Outcome] = []
    package private(set) var damaged: [String] = []
    private let misaligned: Bool
    private let guardBytes: Int
    private var random = SplitMix64(state: 0x051E5)
    private var guarded: [(whole: Tensor, inner: Range<Int>)] = []

    private static let guardValue: UInt8 = 0xA5

    package init(on backend: any Backend, misaligned: Bool = false, guardBytes: Int = 64) {
        (self.backend, self.misaligned, self.guardBytes) = (backend, misaligned, guardBytes)
    }

    package var activation: DType { backend.precision.activationType }

    // MARK: Tensors

    /// A tensor whose bytes are all 0xA5: what an op doesn't write stays the same on every backend.
    package func output(_ dtype: DType, _ shape: [Int]) throws -> Tensor {
        let dtype = dtype == .bfloat16 && activation == .float16 ? .float16 : dtype
        let byteCount = shape.reduce(1, *) * dtype.byteWidth
        let start = guardBytes + (misaligned ? dtype.byteWidth : 0)
        let total = start + byteCount + guardBytes
        let whole = try backend.tensor([UInt8](repeating: Self.guardValue, count: total), [total])
        guarded.append((whole, start..<start + byteCount))
        return Tensor(storage: whole.storage, byteOffset: start, dtype: dtype, shape: shape)
    }

    /// These values, rounded where `dtype` has 16 bits.
    package func tensor(_ values: [Float], _ dtype: DType, _ shape: [Int]) throws
        -> Tensor
    {
        let result = try output(dtype, shape)
        precondition(values.count == result.count)
        if result.dtype != .float32 {
            values.map(result.dtype.bits).withUnsafeBytes { backend.write($0, to: result) }
        } else {
            values.withUnsafeBytes { backend.write($0, to: result) }
        }
        return result
    }

    package func tensor(_ values: [Float], _ shape: [Int]) throws -> Tensor {
        try tensor(values, .float32, shape)
    }

    /// Numbers of about the normal distribution, standard deviation `scale`.
    package func normal(_ dtype: DType, _ shape: [Int], scale: Float = 1) throws
        -> Tensor
    {
        let values = (0..<shape.reduce(1, *)).map { _ in random.normal() * scale }
        return try tensor(values, dtype, shape)
    }

    package func normal(_ shape: [Int], scale: Float = 1) throws -> Tensor {
        try normal(.float32, shape, scale: scale)
    }

    package func integers(_ values: [Int], _ shape: [Int]? = nil) throws -> Tensor {
        let result = try output(.int32, shape ?? [values.count])
        values.map(Int32.init).withUnsafeBytes { backend.write($0, to: result) }
        return result
    }

    /// `count` random numbers below `limit`.
    package func indices(_ count: Int, below limit: Int) throws -> Tensor {
        try integers((0..<count).map { _ in Int(random.next() % UInt64(limit)) })
    }

    /// The first `count` of the numbers below `limit` in random order.
    package func distinctIndices(_ count: Int, below limit: Int) throws -> Tensor {
        var order = Array(0..<limit)
        for i in 0..<count { order.swapAt(i, i + Int(random.next() % UInt64(limit - i))) }
        return try integers(Array(order.prefix(count)))
    }

    package func bytes(_ values: [UInt8]) throws -> Tensor {
        let result = try output(.uint8, [values.count])
        values.withUnsafeBytes { backend.write($0, to: result) }
        return result
    }
    package func randomBytes(_ count: Int, in range: ClosedRange<UInt8> = 0...255) throws -> Tensor
    {
        let span = UInt64(range.upperBound - range.lowerBound) + 1
        return try bytes((0..<count).map { _ in range.lowerBound + UInt8(random.next() % span) })
    }

    /// A random matrix as the backend keeps frozen weights.
    package func matrix(_ form: MatrixForm, _ rows: Int, _ columns: Int, scale: Float = 1) throws
        -> FrozenMatrix
    {
        switch form {
        case .float32: return .dense(try normal(.float32, [rows, columns], scale: scale))
        case .bfloat16: return .dense(try normal(.bfloat16, [rows, columns], scale: scale))
        case .nf4, .nf4Double:
            let blocks = (rows * columns + 63) / 64
            let codes = try randomBytes((rows * columns + 1) / 2)
            if form == .nf4 {
                let absmax = try tensor(
                    (0..<blocks).map { _ in (1 + abs(random.normal())) * scale }, [blocks])
                return .nf4(
                    NF4Matrix(
                        rows: rows, columns: columns, codes: codes, absmax: absmax, nested: nil))
            }
            let nested = NF4Matrix.Nested(
                absmax: try tensor(
                    (0..<(blocks + 255) / 256).map { _ in scale * (1 + abs(random.normal())) },
                    [(blocks + 255) / 256]),
                table: try tensor(DynamicMap.signed, [256]), offset: 1.5 * scale)
            return .nf4(
                NF4Matrix(
                    rows: rows, columns: columns, codes: codes, absmax: try randomBytes(blocks),
                    nested: nested))
        }
    }

    // MARK: Results

    package func record(_ name: String, _ tensor: Tensor) throws {
        let values =
            tensor.dtype == .uint8
            ? try backend.bytes(tensor).map(Float.init) : try backend.floats(tensor)
        outcomes.append(Outcome(name: name, dtype: tensor.dtype, values: values))
    }
    package func record(_ name: String, _ value: Double) {
        outcomes.append(Outcome(name: name, dtype: .float32, values: [Float(value)]))
    }

    /// Looks at the guard bytes of every tensor of this run.
    package func checkGuards() throws {
        for (whole, inner) in guarded {
            let bytes = try backend.bytes(whole)
            for i in bytes.indices where !inner.contains(i) && bytes[i] != Self.guardValue {
                damaged.append("byte \(i - inner.lowerBound) of a tensor of \(inner.count) bytes")
            }
        }
    }
}

package enum MatrixForm: String, CaseIterable, Sendable { case float32, bfloat16, nf4, nf4Double }

extension SplitMix64 {
    /// The sum of twelve uniform numbers less six: nearly normal, no tails beyond 6.
    package mutating func normal() -> Float {
        (0..<12).reduce(Float(-6)) { sum, _ in sum + Float(next() >> 40) / 16_777_216 }
    }
}
