internal import CCUDA
internal import OslerCompute

/// A dense matrix on the card as a product reads it.
struct DeviceMatrix {
    var address: CUdeviceptr
    /// Elements from one row to the next, as they lie in memory.
    var leading: Int
    var transposed: Bool
}

/// One call of cuBLASLt: `d = alpha * op(a) * op(b) + beta * c`, row-major, `[m, n]` over k, float32
/// sums. `c` and `d` have n elements a row and may be the same.
struct MatrixProduct {
    /// float32, bfloat16 or float16; the output's is the operands' or float32.
    var operandType: DType
    var outputType: DType
    var (m, n, k): (Int, Int, Int)
    var a: DeviceMatrix
    var b: DeviceMatrix
    var alpha: Float
    var beta: Float
    var c: CUdeviceptr
    var d: CUdeviceptr

    /// All that the choice of an algorithm may depend on. Not m itself: a row's sums are to be the
    /// same in any batch, so an algorithm is chosen for `representativeRows`, and used for all m.
    struct Kind: Hashable {
        var operandType: DType
        var outputType: DType
        var representativeRows: Int
        var (n, k): (Int, Int)
        var (aTransposed, bTransposed): (Bool, Bool)
        /// Bytes that all rows of a and b, and the addresses of c and d, are multiples of.
        var (aAlignment, bAlignment, cAlignment): (Int, Int, Int)

        static func == (one: Kind, other: Kind) -> Bool { one.numbers == other.numbers }
        func hash(into hasher: inout Hasher) { hasher.combine(numbers) }

        private var numbers: [Int] {
            [
                Int(operandType.rawValue), Int(outputType.rawValue), representativeRows, n, k,
                aTransposed ? 1 : 0, bTransposed ? 1 : 0, aAlignment, bAlignment, cAlignment,
            ]
        }
    }

    /// Up to `few` rows are a shape of their own.
    func kind(few: Int) -> Kind {
        Kind(
            operandType: operandType, outputType: outputType,
            representativeRows: m <= few ? few : 2048, n: n, k: k, aTransposed: a.transposed,
            bTransposed: b.transposed,
            aAlignment: Self.alignment(a.address, a.leading * operandType.byteWidth),
            bAlignment: Self.alignment(b.address, b.leading * operandType.byteWidth),
            cAlignment: Self.alignment(c | d, n * outputType.byteWidth))
    }

    /// The largest power of two, at most 16, that divides both.
    private static func alignment(_ address: CUdeviceptr, _ bytes: Int) -> Int {
        let bits = (address | UInt64(bytes) | 16)
        return Int(bits & (~bits &+ 1))
    }

    /// The product for which the algorithm of its kind is chosen.
    func representative(of kind: Kind) -> MatrixProduct {
        var result = self
        result.m = kind.representativeRows
        // Rows of a transposed left operand are as long as m; they keep their alignment.
        if a.transposed {
            result.a.leading =
                kind.representativeRows
                + (kind.aAlignment < 16 ? kind.aAlignment / operandType.byteWidth : 0)
        }
        return result
    }
}
