internal import CCUDA
internal import OslerCompute

extension CublasLtHandle {
    /// Queues the product on the card's stream.
    ///
    /// cuBLASLt thinks in columns, so it is asked for the transpose: `d^T = op(b)^T op(a)^T`, whose
    /// columns are the rows that lie in memory here.
    func run(_ product: MatrixProduct) throws(CUDAError) {
        let layouts = try ProductLayouts(product, library)
        let algorithm = try algorithm(for: product, layouts)
        var (alpha, beta, algo) = (product.alpha, product.beta, algorithm)
        try library.check(
            library.call.cublasLtMatmul(
                handle, layouts.desc.handle, &alpha, product.b.address, layouts.b.handle,
                product.a.address, layouts.a.handle, &beta, product.c, layouts.c.handle, product.d,
                layouts.c.handle, &algo, workspace.address, Self.workspaceBytes, device.stream),
            "cublasLtMatmul(\(product.m) x \(product.n) over \(product.k))")
    }

    /// The one algorithm of the product's kind; only where cuBLASLt refuses it for this number of
    /// rows, one for that number.
    private func algorithm(for product: MatrixProduct, _ layouts: borrowing ProductLayouts)
        throws(CUDAError) -> cublasLtMatmulAlgo
    {
        let kind = product.kind(few: fewRows)
        var known: KnownAlgorithm
        if let found = algorithms[kind] {
            known = found
        } else {
            let representative = product.representative(of: kind)
            let found = try ProductLayouts(representative, library)
            known = KnownAlgorithm(usual: try best(for: kind, found, product))
        }
        if let special = known.special[product.m] { return special }
        if !known.proven.contains(product.m) {
            var (algo, result) = (known.usual, cublasLtMatmulHeuristicResult())
            let status = library.call.cublasLtMatmulAlgoCheck(
                handle, layouts.desc.handle, layouts.b.handle, layouts.a.handle, layouts.c.handle,
                layouts.c.handle, &algo, &result)
            if status == 0, result.workspaceBytes <= Self.workspaceBytes {
                known.proven.insert(product.m)
            } else {
                known.special[product.m] = try best(for: kind, layouts, product)
            }
        }
        algorithms[kind] = known
        return known.special[product.m] ?? known.usual
    }

    private func best(
        for kind: MatrixProduct.Kind, _ layouts: borrowing ProductLayouts, _ product: MatrixProduct
    ) throws(CUDAError) -> cublasLtMatmulAlgo {
        let preference = try library.preference(kind, workspace: Self.workspaceBytes)
        var (result, count) = (cublasLtMatmulHeuristicResult(), Int32(0))
        let name =
            "cublasLtMatmulAlgoGetHeuristic(\(product.m) x \(product.n) over \(product.k))"
        try library.check(
            library.call.cublasLtMatmulAlgoGetHeuristic(
                handle, layouts.desc.handle, layouts.b.handle, layouts.a.handle, layouts.c.handle,
                layouts.c.handle, preference.handle, 1, &result, &count), name)
        guard count > 0 else { throw CUDAError(call: name, problem: "knows no algorithm") }
        try library.check(result.state, name)
        return result.algo
    }
}

/// What was chosen for a kind of product.
struct KnownAlgorithm {
    let usual: cublasLtMatmulAlgo
    /// Numbers of rows that it was checked for.
    var proven: Set<Int> = []
    /// Numbers of rows that it does not serve.
    var special: [Int: cublasLtMatmulAlgo] = [:]
}

/// The descriptors of one call, for as long as it takes.
private struct ProductLayouts: ~Copyable {
    let desc: ProductDescription
    let a: MatrixLayout
    let b: MatrixLayout
    let c: MatrixLayout

    init(_ product: MatrixProduct, _ library: CublasLt) throws(CUDAError) {
        let (m, n, k) = (product.m, product.n, product.k)
        let type = product.operandType.cublasType
        let desc = ProductDescription(
            handle: try library.make("cublasLtMatmulDescCreate") {
                $0.cublasLtMatmulDescCreate(
                    &$1, Int32(CCUDA_LT_COMPUTE_32F), Int32(CCUDA_LT_R_32F))
            }, library: library)
        try desc.set(CCUDA_LT_DESC_TRANSA, product.b.transposed)
        try desc.set(CCUDA_LT_DESC_TRANSB, product.a.transposed)
        let a = try library.layout(
            type, rows: product.a.transposed ? m : k, columns: product.a.transposed ? k : m,
            leading: product.a.leading)
        let b = try library.layout(
            type, rows: product.b.transposed ? k : n, columns: product.b.transposed ? n : k,
            leading: product.b.leading)
        let c = try library.layout(
            product.outputType.cublasType, rows: n, columns: m, leading: n)
        self.desc = desc
        self.a = a
        self.b = b
        self.c = c
    }
}

extension DType {
    /// cuBLASLt's name of the type.
    fileprivate var cublasType: Int {
        switch self {
        case .float32: CCUDA_LT_R_32F
        case .bfloat16: CCUDA_LT_R_16BF
        case .float16: CCUDA_LT_R_16F
        case .int32, .uint8: preconditionFailure("products of \(self)")
        }
    }
}

private struct ProductDescription: ~Copyable {
    let handle: cublasLtMatmulDesc
    let library: CublasLt

    deinit { _ = library.call.cublasLtMatmulDescDestroy(handle) }

    func set(_ attribute: Int, _ isTransposed: Bool) throws(CUDAError) {
        var value = Int32(isTransposed ? CCUDA_LT_OP_T : CCUDA_LT_OP_N)
        try library.check(
            library.call.cublasLtMatmulDescSetAttribute(handle, Int32(attribute), &value, 4),
            "cublasLtMatmulDescSetAttribute(\(attribute))")
    }
}

private struct MatrixLayout: ~Copyable {
    let handle: cublasLtMatrixLayout
    let library: CublasLt

    deinit { _ = library.call.cublasLtMatrixLayoutDestroy(handle) }
}

/// What an algorithm may be.
private struct ProductPreference: ~Copyable {
    let handle: cublasLtMatmulPreference
    let library: CublasLt

    deinit { _ = library.call.cublasLtMatmulPreferenceDestroy(handle) }

    func set<Value: BitwiseCopyable>(_ attribute: Int, _ value: Value) throws(CUDAError) {
        var value = value
        let status = withUnsafeBytes(of: &value) { bytes -> cublasStatus in
            guard let base = bytes.baseAddress else { return 0 }
            return library.call.cublasLtMatmulPreferenceSetAttribute(
                handle, Int32(attribute), base, bytes.count)
        }
        try library.check(status, "cublasLtMatmulPreferenceSetAttribute(\(attribute))")
    }
}

extension CublasLt {
    /// What a creating call made.
    fileprivate func make<Handle>(
        _ name: String, _ create: (ccuda_lt_table, inout Handle?) -> cublasStatus
    ) throws(CUDAError) -> Handle {
        var made: Handle?
        try check(create(call, &made), name)
        guard let made else { throw CUDAError(call: name, problem: "gave nothing") }
        return made
    }

    fileprivate func layout(_ type: Int, rows: Int, columns: Int, leading: Int)
        throws(CUDAError) -> MatrixLayout
    {
        MatrixLayout(
            handle: try make("cublasLtMatrixLayoutCreate(\(rows) x \(columns))") {
                $0.cublasLtMatrixLayoutCreate(
                    &$1, Int32(type), UInt64(rows), UInt64(columns), Int64(leading))
            }, library: self)
    }

    /// Algorithms whose sums are in one order: none that splits K among blocks and adds the parts
    /// up.
    fileprivate func preference(_ kind: MatrixProduct.Kind, workspace: Int)
        throws(CUDAError) -> ProductPreference
    {
        let preference = ProductPreference(
            handle: try make("cublasLtMatmulPreferenceCreate") {
                $0.cublasLtMatmulPreferenceCreate(&$1)
            }, library: self)
        try preference.set(CCUDA_LT_PREF_MAX_WORKSPACE_BYTES, UInt64(workspace))
        try preference.set(CCUDA_LT_PREF_REDUCTION_SCHEME_MASK, UInt32(0))
        // a and b change places, see `CublasLtHandle.run`.
        try preference.set(CCUDA_LT_PREF_MIN_ALIGNMENT_A_BYTES, UInt32(kind.bAlignment))
        try preference.set(CCUDA_LT_PREF_MIN_ALIGNMENT_B_BYTES, UInt32(kind.aAlignment))
        try preference.set(CCUDA_LT_PREF_MIN_ALIGNMENT_C_BYTES, UInt32(kind.cAlignment))
        try preference.set(CCUDA_LT_PREF_MIN_ALIGNMENT_D_BYTES, UInt32(kind.cAlignment))
        return preference
    }
}
