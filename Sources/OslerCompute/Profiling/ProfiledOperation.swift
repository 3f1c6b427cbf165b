/// The operations of `Backend` that take time, by their names there.
package enum BackendOperation: String, Sendable, CaseIterable {
    case allocate, adopt, write, read, zero, copy, synchronize
    case multiply
    case embed, rmsNorm, rmsNormBackward, rope, attention, attentionBackward, swiglu
    case swigluBackward, dropout, addDropout, add, gatherRows, scatterRows
    case linearCrossEntropy
    case sumOfSquares, adamW, adamW8bit
}

/// What a profile counts together: an operation; products also by what they are for and their shape.
package struct ProfiledOperation: Hashable, Sendable {
    package let operation: BackendOperation
    package let product: ProfiledProduct?

    package init(_ operation: BackendOperation, _ product: ProfiledProduct? = nil) {
        (self.operation, self.product) = (operation, product)
    }
}

/// The largest product of a call, and how many further products and outputs are in it.
package struct ProfiledProduct: Hashable, Sendable {
    package enum Role: String, Sendable {
        /// `x W^T`
        case forward
        /// `dy W`
        case backward
        /// `A^T B`
        case gradient
    }

    package let role: Role
    /// How the right operand is kept: f32, bf16, f16 or nf4.
    package let format: String
    /// `[K, N]` of the right operand as it is used; for `gradient`, where K counts tokens, `[M, N]` of the result.
    package let rows: Int
    package let columns: Int
    package let furtherProducts: Int
    package let furtherOutputs: Int

    /// nil when there are no products.
    init?(_ multiplications: [Multiplication]) {
        let products = multiplications.flatMap(\.products)
        guard let product = products.max(by: { $0.size < $1.size }) else { return nil }
        role = product.aTransposed ? .gradient : product.bTransposed ? .forward : .backward
        rows = product.aTransposed ? product.a.columns : product.depth
        columns = product.width
        (format, furtherProducts) = (product.b.formatName, products.count - 1)
        furtherOutputs = multiplications.count - 1
    }
}

extension Product {
    /// K: the terms of each of its sums.
    var depth: Int { aTransposed ? a.rowCount : a.columns }
    /// N
    fileprivate var width: Int { bTransposed ? b.rows : b.columns }
    /// M K N
    fileprivate var size: Int { a.count * width }
}

extension FrozenMatrix {
    /// f32, bf16, f16 or nf4.
    package var formatName: String {
        switch self {
        case .nf4: "nf4"
        case .dense(let tensor):
            switch tensor.dtype {
            case .bfloat16: "bf16"
            case .float16: "f16"
            case .float32, .int32, .uint8: "f32"
            }
        }
    }
}
