// How a product of several terms is computed, and what that costs in memory's traffic.
//
// `y = x W^T + s u B^T + bias` with bfloat16 y is rounded once, so the terms meet in float32. cuBLASLt
// has one type for C and D when its operands are bfloat16 (as we read its table): the sums can't be
// read as float32 and written as bfloat16 by one of its calls. Bytes an element of y:
//
//   both terms by cuBLASLt, then a kernel for bias and rounding   4 | 4 + 4 | 4 + 2     18
//   the main term by cuBLASLt, `osler_adapter_end` for the rest   4 | 4 + 2             10
//
// An 8B model (D 4096, F 14336, K/V 1024, 32 layers) has 34816 such elements a token and layer
// forward (q, k, v, gate, up), as many when blocks are computed again, and 18432 backward (what goes
// into attention's output and into the activation). The second way saves 22.5 MB a token.
//
// A float32 output is where its terms meet: 8 bytes each after the first, so one adapter's term gains
// nothing there. But the gradient of an input has two (gate, up) or three (q, k, v), which the kernel
// adds in one pass: of 28 and 44 bytes an element 8 and 16 are saved, 3.1 MB a token.
//
// Together, at 16384 tokens and 3.35 TB/s: 126 ms of a micro-batch whose products take about 1.3 s.
//
// Considered and left:
// - The main term last, added to a bfloat16 output: rounds twice.
// - [x | s u] times [W | B]^T, one product: needs W and B side by side, so a copy of W.
// - Sums in pieces that stay in the card's second-level cache (16 MiB): 256 rows of F 14336, for
//   which W is read again, 117 MB: 32 bytes an element.
// - A product of our own with the adapter inside: would have to be as fast as cuBLASLt's.
// - One reading of x for the three `x A^T` (and of gate's and up's two), and for A's gradients: saves
//   2.4 MB a token, 12 ms of the above, when A's lie side by side and u is packed and unpacked, and
//   nothing with dropout, where each adapter has an input of its own.
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
    /// its end (adapters' terms together, bias, rounding a sum of several) is one kernel more.
    private func multiply(
        _ products: [Product], _ one: Multiplication, _ prepared: inout PreparedOperands
    ) {
        let (rows, output) = (one.output.rowCount, one.output)
        // One call does it all, in the output's own type; so do several when that is float32.
        let addendFits = one.addend == nil || one.addend?.dtype == output.dtype
        let isOneCall =
            products.count == 1 && addendFits && one.bias == nil && precision != .float32
        let adapters = isOneCall ? [] : adapterTerms(of: products, into: output)
        let products = products.dropLast(adapters.count)
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
            if !adapters.isEmpty {
                finish(output, adapters, one, 0..<rows, addend: nil, &prepared)
            } else if one.bias != nil {
                finish(output, one, rows, at: 0, addend: nil)
            }
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
            if adapters.isEmpty {
                finish(part, one, range.count, at: start, addend: one.addend)
            } else {
                finish(part, adapters, one, range, addend: one.addend, &prepared)
            }
        }
    }

    /// The last products, as far as `osler_adapter_end` computes them and that saves a pass.
    private func adapterTerms(of products: [Product], into output: Tensor) -> [Product] {
        guard precision != .float32, let last = products.last else { return [] }
        var (terms, depth) = ([Product](), 0)
        for product in products.dropFirst().reversed() {
            depth += (product.depth + 15) / 16 * 16
            guard terms.count < 3, depth <= 64, !product.aTransposed,
                product.bTransposed == last.bTransposed, product.scale == last.scale,
                case .dense(let b) = product.b, b.dtype == last.b.denseType
            else { break }
            terms.insert(product, at: 0)
        }
        return terms.count > 1 || output.dtype != .float32 ? terms : []
    }

    /// `output rows = sums + adapters' terms + addend + bias`, rounded once.
    private func finish(
        _ sums: Tensor, _ adapters: [Product], _ one: Multiplication, _ range: Range<Int>,
        addend: Tensor?, _ prepared: inout PreparedOperands
    ) {
        func term(_ index: Int) -> (u: Tensor?, b: Tensor?, depth: Int32) {
            guard index < adapters.count, case .dense(let b) = adapters[index].b,
                let u = leftOperand(adapters[index].a, &prepared)
            else { return (nil, nil, 0) }
            return (u.rows(range), b, Int32(adapters[index].depth))
        }
        let (first, second, third) = (term(0), term(1), term(2))
        let output = one.output.matrix.rows(range)
        let addend = addend?.matrix.rows(range)
        launch(
            "adapter_end_\(precision == .float16 ? "f16" : "bf16")",
            grid: Grid((range.count + 63) / 64, (output.columns + 127) / 128),
            block: 128, sums, first.u, first.b, first.depth, second.u, second.b, second.depth,
            third.u, third.b, third.depth, first.b?.kernelType ?? 0,
            Int32(adapters[0].bTransposed ? 1 : 0), adapters[0].scale, addend,
            addend?.kernelType ?? 0, one.bias, one.bias?.kernelType ?? 0, output,
            output.kernelType, Int32(range.count), Int32(output.columns))
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
            operandType: type, outputType: output.dtype, m: range.count, n: output.columns,
            k: product.depth,
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

extension FrozenMatrix {
    /// nil for NF4.
    fileprivate var denseType: DType? {
        guard case .dense(let tensor) = self else { return nil }
        return tensor.dtype
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
