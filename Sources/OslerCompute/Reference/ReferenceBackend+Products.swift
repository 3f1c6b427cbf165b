extension ReferenceBackend {
    package func multiply(_ multiplications: [Multiplication]) {
        for one in multiplications {
            sum(one.products, adding: one.addend, bias: one.bias, into: one.output)
        }
    }

    private func sum(
        _ products: [Product], adding addend: Tensor?, bias: Tensor?, into output: Tensor
    ) {
        let (m, n) = (output.rowCount, output.columns)
        var sum = addend.map(load) ?? [Double](repeating: 0, count: m * n)
        precondition(sum.count == m * n)
        for product in products { add(product, m, n, to: &sum) }
        if let bias {
            let bias = load(bias)
            precondition(bias.count == n)
            for i in 0..<m { for j in 0..<n { sum[i * n + j] += bias[j] } }
        }
        store(sum, in: output)
    }

    private func add(_ product: Product, _ m: Int, _ n: Int, to sum: inout [Double]) {
        let a = operand(.dense(product.a), transposed: product.aTransposed)
        let b = operand(product.b, transposed: !product.bTransposed)
        precondition(a.rows == m && b.rows == n && a.columns == b.columns)
        let k = a.columns
        for i in 0..<m {
            for j in 0..<n {
                var dot = 0.0
                for l in 0..<k { dot += a.values[i * k + l] * b.values[j * k + l] }
                sum[i * n + j] += Double(product.scale) * dot
            }
        }
    }

    /// A matrix as it enters a product: rounded to the precision's type, transposed on request.
    func operand(_ matrix: FrozenMatrix, transposed: Bool) -> (
        values: [Double], rows: Int, columns: Int
    ) {
        var values =
            switch matrix {
            case .dense(let tensor): load(tensor)
            case .nf4(let matrix): matrix.values().map(Double.init)
            }
        if precision != .float32 {
            values = values.map { Double(precision.activationType.rounded(Float($0))) }
        }
        let (rows, columns) = (matrix.rows, matrix.columns)
        if !transposed { return (values, rows, columns) }
        let swapped = (0..<rows * columns).map { values[$0 % rows * columns + $0 / rows] }
        return (swapped, columns, rows)
    }
}
