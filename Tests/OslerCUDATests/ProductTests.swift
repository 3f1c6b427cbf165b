import OslerCUDA
import OslerCompute
import OslerTestSupport
import Testing

/// What the contract of products promises beside their values.
@Suite struct ProductTests {
    /// The stand-in for cuBLASLt sums in an order that depends on the shape an algorithm was asked
    /// for: this holds only because one is asked for whatever the number of rows.
    @Test(arguments: [Precision.float32, .bfloat16, .float16], RowBits.allCases)
    func `a row has the same bits in any batch`(precision: Precision, form: RowBits) throws {
        #expect(try form.problems(on: Simulator.backend(precision)).isEmpty)
    }

    /// More rows than are summed at a time.
    @Test func `sums of several products in bfloat16 are made in pieces`() throws {
        let (cuda, reference) = (
            try Simulator.backend(.bfloat16), ReferenceBackend(precision: .bfloat16)
        )
        // 64 MiB of float32 sums are 128 rows of this width.
        let (rows, columns) = (130, 131_072)
        func output(_ backend: any Backend) throws -> [Float] {
            let x = try backend.tensor((0..<rows * 2).map { Float($0 % 7) - 3 }, [rows, 2])
            let w = try backend.tensor((0..<columns * 2).map { Float($0 % 5) - 2 }, [columns, 2])
            let y = try backend.tensor(.bfloat16, [rows, columns])
            backend.multiply(
                [.forward(x, .dense(w)), .forward(x, .dense(w), scale: 0.5)], adding: nil,
                bias: nil, into: y)
            return try backend.floats(y)
        }
        #expect(try output(cuda) == output(reference))
    }

    /// The stand-in refuses 1031 rows to an algorithm that was chosen for another number.
    @Test func `a number of rows that the usual algorithm doesn't serve gets its own`() throws {
        let (cuda, reference) = (
            try Simulator.backend(.float32), ReferenceBackend(precision: .float32)
        )
        func output(_ backend: any Backend) throws -> [Float] {
            let x = try backend.tensor((0..<1031 * 3).map { Float($0 % 7) - 3 }, [1031, 3])
            let w = try backend.tensor((0..<6).map { Float($0) - 2 }, [2, 3])
            let y = try backend.tensor(.float32, [1031, 2])
            for _ in 0..<2 {
                backend.multiply([.forward(x, .dense(w))], adding: nil, bias: nil, into: y)
            }
            return try backend.floats(y)
        }
        #expect(try output(cuda) == output(reference))
    }
}
