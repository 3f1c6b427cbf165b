internal import COslerKernels

extension CPUBackend {
    /// What the kernels take at a time (`MAXIMUM_CALLS` in gemm.c).
    private static var callsAtOnce: Int { 16 }

    package func multiply(_ multiplications: [Multiplication]) {
        for start in stride(from: 0, to: multiplications.count, by: Self.callsAtOnce) {
            run(multiplications[start..<min(start + Self.callsAtOnce, multiplications.count)])
        }
    }

    private func run(_ multiplications: ArraySlice<Multiplication>) {
        let count = multiplications.reduce(0) { $0 + $1.products.count }
        withUnsafeTemporaryAllocation(of: ok_nf4.self, capacity: max(count, 1)) { nf4 in
            withUnsafeTemporaryAllocation(of: ok_product.self, capacity: max(count, 1)) { kernels in
                withUnsafeTemporaryAllocation(
                    of: ok_call.self, capacity: max(multiplications.count, 1)
                ) { calls in
                    fill(calls, kernels, nf4, multiplications)
                    ok_gemm(
                        tile, pool.handle, productScratch, calls.baseAddress!,
                        Int32(multiplications.count))
                }
            }
        }
    }

    private func fill(
        _ calls: UnsafeMutableBufferPointer<ok_call>,
        _ kernels: UnsafeMutableBufferPointer<ok_product>,
        _ nf4: UnsafeMutableBufferPointer<ok_nf4>, _ multiplications: ArraySlice<Multiplication>
    ) {
        var (call, next) = (0, 0)
        for one in multiplications {
            let first = next
            for product in one.products {
                nf4.initializeElement(at: next, to: ok_nf4(product.b))
                kernels.initializeElement(
                    at: next,
                    to: ok_product(
                        product, nf4: nf4.baseAddress! + next, m: one.output.rowCount,
                        n: one.output.columns))
                next += 1
            }
            calls.initializeElement(
                at: call, to: ok_call(one, products: kernels.baseAddress! + first))
            call += 1
        }
    }
}

extension ok_call {
    fileprivate init(_ one: Multiplication, products: UnsafePointer<ok_product>?) {
        let (m, n) = (one.output.rowCount, one.output.columns)
        precondition(one.products.count <= 8, "a sum of more than 8 products")
        if let addend = one.addend {
            precondition(
                addend.shape == one.output.shape, "addend \(addend.shape) to \(one.output.shape)")
        }
        if let bias = one.bias {
            precondition(bias.count == n, "bias \(bias.shape) for \(one.output.shape)")
        }
        self.init(
            products: products, count: Int32(one.products.count), m: m, n: n,
            output: ok_output(
                data: one.output.address, type: one.output.kernelType, ld: n,
                addend: one.addend?.address, addend_type: one.addend?.kernelType ?? OK_F32,
                addend_ld: n, bias: one.bias?.address, bias_type: one.bias?.kernelType ?? OK_F32))
    }
}

extension Tensor {
    var kernelType: ok_type {
        switch dtype {
        case .float32: OK_F32
        case .bfloat16: OK_BF16
        case .float16, .int32, .uint8: preconditionFailure("a \(dtype) tensor in a product")
        }
    }
}

extension ok_nf4 {
    /// Zeros when the matrix is dense.
    init(_ matrix: FrozenMatrix) {
        guard case .nf4(let matrix) = matrix else {
            self.init()
            return
        }
        let count = matrix.rows * matrix.columns
        let blocks = (count + matrix.blockSize - 1) / matrix.blockSize
        precondition(matrix.codes.byteCount >= (count + 1) / 2, "NF4 codes of \(count) values")
        precondition(matrix.absmax.count >= blocks, "NF4 scales of \(blocks) blocks")
        let scales = matrix.absmax.address
        guard let nested = matrix.nested else {
            precondition(matrix.absmax.dtype == .float32)
            self.init()
            (codes, block_size) = (Self.bytes(matrix.codes), matrix.blockSize)
            absmax = UnsafePointer(scales.assumingMemoryBound(to: Float.self))
            return
        }
        precondition(matrix.absmax.dtype == .uint8 && nested.table.count >= 256)
        precondition(nested.absmax.count >= (blocks + nested.blockSize - 1) / nested.blockSize)
        self.init()
        (codes, block_size) = (Self.bytes(matrix.codes), matrix.blockSize)
        absmax_codes = Self.bytes(matrix.absmax)
        nested_absmax = UnsafePointer(nested.absmax.address.assumingMemoryBound(to: Float.self))
        nested_table = UnsafePointer(nested.table.address.assumingMemoryBound(to: Float.self))
        (nested_offset, nested_block_size) = (nested.offset, nested.blockSize)
    }

    private static func bytes(_ tensor: Tensor) -> UnsafePointer<UInt8> {
        UnsafePointer(tensor.address.assumingMemoryBound(to: UInt8.self))
    }
}

extension ok_product {
    init(_ product: Product, nf4: UnsafePointer<ok_nf4>, m: Int, n: Int) {
        let (a, b) = (product.a, product.b)
        let (rows, k) =
            product.aTransposed ? (a.columns, a.rowCount) : (a.rowCount, a.columns)
        let (depth, columns) = product.bTransposed ? (b.columns, b.rows) : (b.rows, b.columns)
        precondition(
            rows == m && columns == n && k == depth,
            "product [\(rows), \(k)] x [\(depth), \(columns)] into [\(m), \(n)]")
        let left = ok_matrix(
            data: a.address, nf4: nil, type: a.kernelType, ld: a.columns,
            transposed: product.aTransposed)
        var right = ok_matrix(
            data: nil, nf4: nil, type: OK_F32, ld: b.columns, transposed: product.bTransposed)
        switch b {
        case .dense(let tensor):
            (right.data, right.type) = (
                UnsafeRawPointer(tensor.address), tensor.kernelType
            )
        case .nf4: right.nf4 = nf4
        }
        self.init(a: left, b: right, k: k, scale: product.scale)
    }
}

extension CPUBackend {
    /// The most scratch that `multiply` takes: 8 MiB of packed rows, panels and sums of each thread, and the sums that
    /// wait between slabs of a long k (`PACKED_BYTES`, `SLAB_ROWS`, `SLAB_SUMS_BYTES` in gemm.c).
    ///
    /// - Parameter width: columns of products with a long k: the model's.
    package func productScratchBound(width: Int) -> Int {
        (9 << 20) + pool.threads * (2 << 20) + min(16 << 20, 4 * 1056 * width)
    }
}
