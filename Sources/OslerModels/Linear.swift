package import OslerCompute

/// A linear layer over a frozen weight, with an optional bias and an optional LoRA pair:
/// `y = x W^T + b + s (dropout(x) A^T) B^T` (Hu et al. 2021; checked against PEFT). `Projections` computes it.
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
}

/// Linear layers over one input, run together: the input is read and packed once for all of them.
package struct Projections {
    private let layers: [Linear]

    package init(_ layers: [Linear]) { self.layers = layers }

    /// What backward needs besides the input: each layer's `x A^T`, activation type `[T, R]`; nil without an adapter.
    package struct Saved: ~Copyable {
        let reduced: [Tensor?]
    }

    /// - Parameters:
    ///   - input: gives `[T, in]`, activation type; its memory goes when this has used it.
    ///   - rows: T.
    ///   - addend: added to every result, `[T, out]`.
    ///   - outputs: `[T, out]` a layer; nil when only what backward needs is wanted (recomputation).
    package func forward(
        _ input: () -> Tensor, rows: Int, adding addend: Tensor? = nil, into outputs: [Tensor?],
        _ pass: Pass
    ) -> Saved {
        let reduced = layers.map { layer in
            layer.lora.flatMap { pass.usesAdapters ? pass.arena.activation([rows, $0.rank]) : nil }
        }
        let isAskedFor = (outputs + reduced).contains { $0 != nil }
        if isAskedFor {
            pass.arena.scope {
                forward(input(), adding: addend, reducedInto: reduced, into: outputs, pass)
            }
        }
        return Saved(reduced: reduced)
    }

    private func forward(
        _ input: Tensor, adding addend: Tensor?, reducedInto reduced: [Tensor?],
        into outputs: [Tensor?], _ pass: Pass
    ) {
        pass.arena.scope {
            pass.backend.multiply(
                zip(layers, reduced).compactMap { layer, reduced in
                    guard let lora = layer.lora, let reduced else { return nil }
                    let dropped = lora.dropped(input, pass)
                    return Multiplication([.forward(dropped, .dense(lora.a))], into: reduced)
                })
        }
        var results: [Multiplication] = []
        for (index, layer) in layers.enumerated() {
            guard let output = outputs[index] else { continue }
            var products = [Product.forward(input, layer.weight)]
            if let lora = layer.lora, let reduced = reduced[index] {
                products.append(.forward(reduced, .dense(lora.b), scale: lora.scale))
            }
            results.append(
                Multiplication(products, adding: addend, bias: layer.bias, into: output))
        }
        pass.backend.multiply(results)
    }

    /// Adds to the adapters' gradients, and returns what the gradient of the input is made of.
    ///
    /// `dB += s dy^T u`, `du = s dy B`, `dA += du^T dropout(x)`, `dx = sum of dy W + dropout'(du A)`.
    /// - Parameters:
    ///   - outputGradients: `[T, out]` a layer, float32 or activation type.
    ///   - input: asked for only when a layer has an adapter.
    package func backward(
        _ outputGradients: [Tensor], input: () -> Tensor, consuming saved: consuming Saved,
        _ pass: Pass
    ) -> InputGradientTerms {
        var terms = InputGradientTerms(
            products: zip(layers, outputGradients).map { .backward($1, $0.weight) })
        var adapted: [(lora: LoRAPair, gradient: Tensor)] = []
        var first: [Multiplication] = []
        for (index, layer) in layers.enumerated() {
            guard let lora = layer.lora, let reduced = saved.reduced[index] else { continue }
            let dy = outputGradients[index]
            let du = pass.arena.activation([dy.rowCount, lora.rank])
            first.append(
                Multiplication(
                    [.gradient(dy, reduced, scale: lora.scale)], adding: lora.gradientB,
                    into: lora.gradientB))
            first.append(
                Multiplication([.backward(dy, .dense(lora.b), scale: lora.scale)], into: du))
            adapted.append((lora, du))
            terms.add(.backward(du, .dense(lora.a)), of: lora, pass)
        }
        guard !adapted.isEmpty else { return terms }
        pass.backend.multiply(first)
        pass.arena.scope {
            let input = input()
            pass.backend.multiply(
                adapted.map { lora, du in
                    Multiplication(
                        [.gradient(du, lora.dropped(input, pass))], adding: lora.gradientA,
                        into: lora.gradientA)
                })
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

    /// The adapter's part, behind its dropout mask where there is one.
    fileprivate mutating func add(_ product: Product, of lora: LoRAPair, _ pass: Pass) {
        guard let dropout = pass.dropout, lora.dropout > 0 else { return products.append(product) }
        dropped.append(
            Dropped(
                product: product, probability: lora.dropout,
                key: dropout.key(adapter: lora.index)))
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
