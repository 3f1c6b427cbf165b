package import OslerCompute

/// The SwiGLU feed-forward layer: `down(silu(gate(x)) * up(x))`.
package struct GatedMLP: Sendable {
    package var gate: Linear
    package var up: Linear
    package var down: Linear

    package struct Saved: ~Copyable {
        let gate: Tensor
        let up: Tensor
        let inputSaved: Projections.Saved
        let downSaved: Projections.Saved
    }

    /// `result = residual + mlp(input)`.
    /// - Parameters:
    ///   - input: gives the normed hidden states `[T, D]`, activation type.
    ///   - result: nil in recomputation: backward doesn't need the down projection's output.
    package func forward(
        _ input: () -> Tensor, residual: Tensor, into result: Tensor?, _ pass: Pass
    ) -> Saved {
        let rows = residual.rowCount
        let gated = pass.arena.activation([rows, gate.outputWidth])
        let raised = pass.arena.activation([rows, up.outputWidth])
        let inputSaved = Projections([gate, up]).forward(
            input, rows: rows, into: [gated, raised], pass)
        let downSaved = Projections([down]).forward(
            { activated(gated, raised, pass) }, rows: rows, adding: residual, into: [result], pass)
        return Saved(gate: gated, up: raised, inputSaved: inputSaved, downSaved: downSaved)
    }

    /// Adds to the adapters' gradients and returns the terms of the gradient of the input.
    /// - Parameter input: asked for only when the gate or the up projection has an adapter.
    package func backward(
        _ resultGradient: Tensor, input: () -> Tensor, consuming saved: consuming Saved,
        _ pass: Pass
    ) -> InputGradientTerms {
        let activatedGradient = pass.arena.activation(saved.gate.shape)
        let (gated, raised) = (saved.gate, saved.up)
        Projections([down]).backward(
            [resultGradient], input: { activated(gated, raised, pass) },
            consuming: saved.downSaved, pass
        ).write(to: activatedGradient, pass)
        // In place: nothing after this reads the gate's and the up projection's outputs.
        pass.backend.swigluBackward(
            activatedGradient, gate: gated, up: raised, gateGradient: gated, upGradient: raised)
        return Projections([gate, up]).backward(
            [gated, raised], input: input, consuming: saved.inputSaved, pass)
    }

    /// Cheaper to compute again than to keep.
    private func activated(_ gate: Tensor, _ up: Tensor, _ pass: Pass) -> Tensor {
        let output = pass.arena.activation(gate.shape)
        pass.backend.swiglu(gate: gate, up: up, output: output)
        return output
    }
}
