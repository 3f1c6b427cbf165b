package import OslerCompute

/// One adapter: `A [R, in]`, `B [out, R]`, their gradients (all float32), and its scale.
/// A class for the same reason as `NF4Matrix`.
package final class LoRAPair: Sendable {
    /// Counts adapters through the model; names the dropout mask.
    package let index: Int
    package let a: Tensor
    package let b: Tensor
    package let gradientA: Tensor
    package let gradientB: Tensor
    /// alpha / R, or alpha / sqrt(R) for rsLoRA.
    package let scale: Float
    /// Probability that an element of the adapter's input is dropped while training.
    package let dropout: Float

    package init(
        index: Int, a: Tensor, b: Tensor, gradientA: Tensor, gradientB: Tensor, scale: Float,
        dropout: Float
    ) {
        (self.index, self.a, self.b, self.gradientA, self.gradientB, self.scale, self.dropout) =
            (index, a, b, gradientA, gradientB, scale, dropout)
    }

    package var rank: Int { a.rowCount }

    /// The adapter's input: `input` itself, or a dropped copy in the arena while training with dropout.
    func dropped(_ input: Tensor, _ pass: Pass) -> Tensor {
        guard let source = pass.dropout, dropout > 0 else { return input }
        let copy = pass.arena.tensor(input.dtype, input.shape)
        pass.backend.dropout(
            input, probability: dropout, key: source.key(adapter: index), output: copy)
        return copy
    }
}
