package import OslerCompute

/// The SwiGLU feed-forward layer: `down(silu(gate(x)) * up(x))`.
package struct GatedMLP: Sendable {
    package var gate: Linear
    package var up: Linear
    package var down: Linear

    package struct Saved: ~Copyable {
        let gate: Tensor
        let up: Tensor
        let activated: Tensor
        let gateSaved: Linear.Saved
        let upSaved: Linear.Saved
        let downSaved: Linear.Saved
    }

    /// `result = residual + mlp(input)`.
    /// - Parameter result: nil in recomputation: backward doesn't need the down projection's output.
    package func forward(
        _ input: Tensor, residual: Tensor, into result: Tensor?, _ pass: Pass
    ) -> Saved {
        let shape = [input.rowCount, gate.outputWidth]
        let gated = pass.arena.activation(shape)
        let raised = pass.arena.activation(shape)
        let activated = pass.arena.activation(shape)
        let gateSaved = gate.forward(input, into: gated, pass)
        let upSaved = up.forward(input, into: raised, pass)
        pass.backend.swiglu(gate: gated, up: raised, output: activated)
        let downSaved = down.forward(activated, adding: residual, into: result, pass)
        return Saved(
            gate: gated, up: raised, activated: activated, gateSaved: gateSaved, upSaved: upSaved,
            downSaved: downSaved)
    }

    /// Adds to the adapters' gradients and returns the terms of the gradient of `input`.
    package func backward(
        _ resultGradient: Tensor, input: Tensor, consuming saved: consuming Saved,
        _ pass: Pass
    ) -> InputGradientTerms {
        let activatedGradient = pass.arena.activation(saved.activated.shape)
        down.backward(
            resultGradient, input: saved.activated, consuming: saved.downSaved, pass
        ).write(to: activatedGradient, pass)
        // In place: nothing after this reads the gate's and the up projection's outputs.
        pass.backend.swigluBackward(
            activatedGradient, gate: saved.gate, up: saved.up, gateGradient: saved.gate,
            upGradient: saved.up)
        let gateTerms = gate.backward(
            saved.gate, input: input, consuming: saved.gateSaved, pass)
        let upTerms = up.backward(saved.up, input: input, consuming: saved.upSaved, pass)
        return gateTerms + upTerms
    }
}
