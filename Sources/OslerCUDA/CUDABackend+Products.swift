package import OslerCompute

extension CUDABackend {
    package func multiply(_ multiplications: [Multiplication]) {
        var prepared = PreparedOperands()
        for one in multiplications {
            one.checkShapes()
            if one.output.count == 0 { continue }
            let products = one.products.filter { $0.depth > 0 }
            if products.isEmpty {
                finish(nil, one, one.output.rowCount, at: 0)
            } else if precision != .float32, one.output.rowCount <= fewRows,
                products.allSatisfy({ $0.bTransposed && !$0.aTransposed })
            {
                multiplyFewRows(products, one)
            } else {
                multiply(products, one, &prepared)
            }
        }
    }

    // MARK: Few rows

    /// A kernel that reads the weight once, in place, whatever its form. Each product adds to the
    /// float32 sum of those before it; the last one rounds.
    private func multiplyFewRows(_ products: [Product], _ one: Multiplication) {
        let (rows, columns) = (one.output.rowCount, one.output.columns)
        var prior: Tensor?
        for (index, product) in products.enumerated() {
            let isLast = index == products.count - 1
            guard
                let output = isLast
                    ? one.output : scratch(.accumulator, .float32, [rows, columns])
            else { return }
            let (weight, nf4) = product.b.parts
            launch(
                precision == .bfloat16 ? "few_rows_bf16" : "few_rows_f16",
                grid: .blocks(of: 8, covering: columns), block: 256, product.a,
                product.a.kernelType, Int32(rows), Int32(product.depth), weight,
                nf4 == nil ? weight.kernelType : Int32(3), nf4?.absmax, nf4?.nested?.absmax,
                nf4?.nested?.table, nf4?.nested?.offset ?? 0, Int32(nf4?.nested?.blockSize ?? 1),
                Int32(nf4?.blockSize ?? 1), Int32(columns), product.scale, prior,
                isLast ? one.addend : nil, one.addend?.kernelType ?? 0, isLast ? one.bias : nil,
                one.bias?.kernelType ?? 0, output, output.kernelType)
            prior = output
        }
    }

    // MARK: cuBLASLt

    /// Rows whose float32 sums exist at a time when they can't be added up in the output: 64 MiB.
    static func accumulatedRows(columns: Int) -> Int {
        max(128, (64 << 20) / (4 * max(columns, 1)) / 128 * 128)
    }

    /// All products add into one float32 sum, beginning with the addend; what cuBLASLt can't do at
    /// its end (bias, rounding a sum of several) is one kernel more.
    private func multiply(
        _ products: [Product], _ one: Multiplication, _ prepared: inout PreparedOperands
    ) {
        let (rows, output) = (one.output.rowCount, one.output)
        // One call does it all, in the output's own type; so do several when that is float32.
        let addendFits = one.addend == nil || one.addend?.dtype == output.dtype
        let isOneCall =
            products.count == 1 && addendFits && one.bias == nil && precision != .float32
        if output.dtype == .float32 || isOneCall {
            var prior = one.addend
            if let addend = one.addend, addend.dtype != output.dtype {
                copy(addend, to: output)
                prior = output
            }
            for product in products {
                run(product, 0..<rows, prior: prior, into: output, &prepared)
                prior = output
            }
            if one.bias != nil { finish(output, one, rows, at: 0, addend: nil) }
            return
        }
        let atOnce = min(rows, Self.accumulatedRows(columns: output.columns))
        guard let sums = scratch(.accumulator, .float32, [atOnce, output.columns]) else { return }
        for start in stride(from: 0, to: rows, by: atOnce) {
            let range = start..<min(start + atOnce, rows)
            var prior: Tensor?
            let part = sums.rows(0..<range.count)
            for product in products {
                run(product, range, prior: prior, into: part, &prepared)
                prior = part
            }
            finish(part, one, range.count, at: start, addend: one.addend)
        }
    }

    /// `output rows = sums + addend + bias`, rounded once.
    private func finish(_ sums: Tensor?, _ one: Multiplication, _ count: Int, at start: Int) {
        finish(sums, one, count, at: start, addend: one.addend)
    }

    private func finish(
        _ sums: Tensor?, _ one: Multiplication, _ count: Int, at start: Int, addend: Tensor?
    ) {
        let output = one.output.matrix.rows(start..<start + count)
        let addend = addend?.matrix.rows(start..<start + count)
        launch(
            "epilogue", grid: elementGrid(output.count), block: 256, sums, addend,
            addend?.kernelType ?? 0, one.bias, one.bias?.kernelType ?? 0, output,
            output.kernelType, Int32(count), Int32(output.columns))
    }

    /// `output = prior + scale * op(a)[range] * op(b)`.
    private func run(
        _ product: Product, _ range: Range<Int>, prior: Tensor?, into output: Tensor,
        _ prepared: inout PreparedOperands
    ) {
        guard let a = leftOperand(product.a, &prepared), let b = rightOperand(product.b, &prepared)
        else { return }
        let type = precision.activationType
        let offset = range.lowerBound * (product.aTransposed ? 1 : a.columns) * type.byteWidth
        let call = MatrixProduct(
            operandType: type, outputType: output.dtype, m: range.count, n: output.columns, k: product.depth,
            a: DeviceMatrix(
                address: a.deviceAddress + UInt64(offset), leading: a.columns,
                transposed: product.aTransposed),
            b: DeviceMatrix(
                address: b.deviceAddress, leading: b.columns, transposed: product.bTransposed),
            alpha: product.scale, beta: prior == nil ? 0 : 1,
            c: (prior ?? output).deviceAddress, d: output.deviceAddress)
        perform { () throws(CUDAError) in try cublasLt.run(call) }
    }
}

extension Tensor {
    /// As rows and columns.
    var matrix: Tensor { shape.count == 2 ? self : reshaped([rowCount, columns]) }
}

extension FrozenMatrix {
    /// The values or codes, and what decodes them.
    fileprivate var parts: (Tensor, NF4Matrix?) {
        switch self {
        case .dense(let tensor): (tensor, nil)
        case .nf4(let matrix): (matrix.codes, matrix)
        }
    }
}

extension Product {
    /// K.
    var depth: Int { aTransposed ? a.rowCount : a.columns }
}

extension Multiplication {
    fileprivate func checkShapes() {
        let (m, n) = (output.rowCount, output.columns)
        for product in products {
            let rows = product.aTransposed ? product.a.columns : product.a.rowCount
            let (depth, columns) =
                product.bTransposed
                ? (product.b.columns, product.b.rows) : (product.b.rows, product.b.columns)
            precondition(
                rows == m && columns == n && product.depth == depth,
                "product [\(rows), \(product.depth)] x [\(depth), \(columns)] into [\(m), \(n)]")
        }
        if let addend {
            precondition(addend.shape == output.shape, "addend \(addend.shape) to \(output.shape)")
        }
        if let bias { precondition(bias.count == n, "bias \(bias.shape) for \(output.shape)") }
    }
}
