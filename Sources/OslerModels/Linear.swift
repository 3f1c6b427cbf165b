package import OslerCompute

/// A linear layer over a frozen weight, with an optional bias and an optional LoRA pair:
/// `y = x W^T + b + s (dropout(x) A^T) B^T` (Hu et al. 2021; checked against PEFT).
package struct Linear: Sendable {
    /// The module's name in transformers: `model.layers.0.self_attn.q_proj`.
    package let name: String
    /// `[out, in]`.
    package var weight: FrozenMatrix
    /// float32 `[out]`.
    package let bias: Tensor?
    package var lora: LoRAPair?

    package init(name: String, weight: FrozenMatrix, bias: Tensor? = nil, lora: LoRAPair? = nil) {
        (self.name, self.weight, self.bias, self.lora) = (name, weight, bias, lora)
    }

    package var outputWidth: Int { weight.rows }
    package var inputWidth: Int { weight.columns }

    /// What backward needs besides the input: `x A^T`, activation type `[T, R]`; nil without an adapter.
    package struct Saved: ~Copyable {
        let reduced: Tensor?
    }

    /// - Parameters:
    ///   - input: `[T, in]`, activation type.
    ///   - addend: added to the result, `[T, out]`.
    ///   - output: `[T, out]`; nil when only what backward needs is wanted (recomputation).
    package func forward(
        _ input: Tensor, adding addend: Tensor? = nil, into output: Tensor?, _ pass: Pass
    ) -> Saved {
        var products = [Product.forward(input, weight)]
        var reduced: Tensor?
        if let lora, pass.usesAdapters {
            let u = pass.arena.activation([input.rowCount, lora.rank])
            pass.arena.scope {
                let dropped = lora.dropped(input, pass)
                pass.backend.multiply(
                    [.forward(dropped, .dense(lora.a))], adding: nil, bias: nil, into: u)
            }
            products.append(.forward(u, .dense(lora.b), scale: lora.scale))
            reduced = u
        }
        if let output {
            pass.backend.multiply(products, adding: addend, bias: bias, into: output)
        }
        return Saved(reduced: reduced)
    }

    /// Adds to the adapter's gradients, and returns what the gradient of the input is made of.
    ///
    /// `dB += s dy^T u`, `du = s dy B`, `dA += du^T dropout(x)`, `dx = dy W + dropout'(du A)`.
    /// - Parameter outputGradient: `[T, out]`, float32 or activation type.
    package func backward(
        _ outputGradient: Tensor, input: Tensor, consuming saved: consuming Saved,
        _ pass: Pass
    ) -> InputGradientTerms {
        var terms = InputGradientTerms(products: [.backward(outputGradient, weight)])
        guard let lora, let reduced = saved.reduced else { return terms }
        let backend = pass.backend
        backend.multiply(
            [.gradient(outputGradient, reduced, scale: lora.scale)], adding: lora.gradientB,
            bias: nil, into: lora.gradientB)
        let reducedGradient = pass.arena.activation([input.rowCount, lora.rank])
        backend.multiply(
            [.backward(outputGradient, .dense(lora.b), scale: lora.scale)], adding: nil, bias: nil,
            into: reducedGradient)
        pass.arena.scope {
            let dropped = lora.dropped(input, pass)
            backend.multiply(
                [.gradient(reducedGradient, dropped)], adding: lora.gradientA, bias: nil,
                into: lora.gradientA)
        }
        let product = Product.backward(reducedGradient, .dense(lora.a))
        if let dropout = pass.dropout, lora.dropout > 0 {
            terms.dropped.append(
                .init(
                    product: product, probability: lora.dropout,
                    key: dropout.key(adapter: lora.index)))
        } else {
            terms.products.append(product)
        }
        return terms
    }
}

/// The sum that an input's gradient is: plain products, computed in one pass, and products behind a dropout mask.
package struct InputGradientTerms {
    struct Dropped {
        let product: Product
        let probability: Float
        let key: DropoutKey
    }
    var products: [Product]
    var dropped: [Dropped] = []

    static func + (left: Self, right: Self) -> Self {
        Self(products: left.products + right.products, dropped: left.dropped + right.dropped)
    }

    /// `output = sum of terms`, float32 or activation type `[T, in]`.
    func write(to output: Tensor, _ pass: Pass) {
        guard !dropped.isEmpty else {
            return pass.backend.multiply(products, adding: nil, bias: nil, into: output)
        }
        pass.arena.scope {
            let sum =
                output.dtype == .float32 ? output : pass.arena.tensor(.float32, output.shape)
            pass.backend.multiply(products, adding: nil, bias: nil, into: sum)
            let part = pass.arena.tensor(.float32, output.shape)
            for term in dropped {
                pass.backend.multiply([term.product], adding: nil, bias: nil, into: part)
                pass.backend.addDropout(
                    part, probability: term.probability, key: term.key, to: sum)
            }
            if output.dtype != .float32 { pass.backend.copy(sum, to: output) }
        }
    }
}
