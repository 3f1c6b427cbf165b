package import OslerCompute

/// What the contract of products promises beside their values: a row has the same bits in any batch
/// of up to `fewRows` rows, and the same bits in any larger one.
package enum RowBits: String, CaseIterable, Sendable {
    case forward, backward, withAdapter

    /// Rows whose bits differ from those in the largest batch: empty when all is well.
    ///
    /// - Parameters:
    ///   - depth: K of the products; `columns`: N.
    ///   - batches: the largest numbers of rows, each with smaller ones that it is compared with.
    package func problems(
        on backend: any Backend, depth: Int = 96, columns: Int = 24,
        batches: [(largest: Int, smaller: [Int])] = [(16, [1, 2, 9]), (67, [17, 33, 64])]
    ) throws -> [String] {
        let inputs = try Inputs(
            self, rows: batches.map(\.largest).max() ?? 0, depth, columns, backend)
        var problems: [String] = []
        for (largest, smaller) in batches {
            let whole = try output(inputs, rows: largest, backend)
            for rows in smaller {
                let part = try output(inputs, rows: rows, backend)
                let differing = zip(part, whole).count { $0.bitPattern != $1.bitPattern }
                if differing > 0 {
                    problems.append(
                        "\(rows) rows: \(differing) of \(part.count) values have other bits than "
                            + "among \(largest)")
                }
            }
        }
        return problems
    }

    private struct Inputs {
        let x: Tensor
        let weight: Tensor
        let adapted: Tensor
        let b: Tensor

        init(
            _ form: RowBits, rows: Int, _ depth: Int, _ columns: Int, _ backend: any Backend
        ) throws {
            var random = SplitMix64(state: 7)
            func tensor(_ dtype: DType, _ shape: [Int]) throws -> Tensor {
                try backend.tensor(
                    (0..<shape.reduce(1, *)).map { _ in random.normal() }, dtype, shape)
            }
            x = try tensor(.float32, [rows, depth])
            weight = try tensor(
                .bfloat16, form == .backward ? [depth, columns] : [columns, depth])
            adapted = try tensor(.float32, [rows, 8])
            b = try tensor(.float32, [columns, 8])
        }
    }

    private func output(_ inputs: Inputs, rows: Int, _ backend: any Backend) throws -> [Float] {
        let (x, columns) = (inputs.x.rows(0..<rows), inputs.b.rowCount)
        let y = try backend.tensor(
            self == .withAdapter ? .bfloat16 : .float32, [rows, columns])
        let products: [Product] =
            switch self {
            case .forward: [.forward(x, .dense(inputs.weight))]
            case .backward: [.backward(x, .dense(inputs.weight))]
            case .withAdapter:
                [
                    .forward(x, .dense(inputs.weight)),
                    .forward(inputs.adapted.rows(0..<rows), .dense(inputs.b)),
                ]
            }
        backend.multiply(products, adding: nil, bias: nil, into: y)
        return try backend.floats(y)
    }
}
