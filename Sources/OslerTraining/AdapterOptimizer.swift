package import OslerCompute
package import OslerModels

/// Which optimizer, by the Trainer's names.
package enum OptimizerKind: Sendable, Equatable {
    /// torch's AdamW, float32 states.
    case adamW
    /// bitsandbytes' AdamW with blockwise 8-bit states; tensors below 4096 elements keep float32 states.
    case adamW8bit

    /// transformers' `optim` values that Osler has.
    package static let names: [(name: String, kind: OptimizerKind)] = [
        ("adamw_torch", .adamW), ("adamw_torch_fused", .adamW), ("adamw_8bit", .adamW8bit),
        ("adamw_bnb_8bit", .adamW8bit), ("paged_adamw_8bit", .adamW8bit),
    ]
}

/// Optimizer states of an adapter's parameters, in the adapter's order.
package final class AdapterOptimizer {
    /// bitsandbytes' `min_8bit_size`.
    package static let smallest8bitCount = 4096

    enum State {
        case full(first: Tensor, second: Tensor)
        case quantized(Adam8bitState)
    }

    package struct Hyperparameters: Sendable, Equatable {
        package var beta1 = 0.9
        package var beta2 = 0.999
        package var epsilon = 1e-8
        package var weightDecay = 0.0
        package init() {}
    }

    private let backend: any Backend
    private let parameters: [(name: String, value: Tensor, gradient: Tensor)]
    private let states: [State]
    private let hyperparameters: Hyperparameters

    package init(
        _ kind: OptimizerKind, adapter: Adapter, hyperparameters: Hyperparameters,
        backend: any Backend
    ) throws {
        (self.backend, self.hyperparameters) = (backend, hyperparameters)
        parameters = adapter.parameters
        states = try adapter.parameters.map { parameter in
            try backend.on(parameter.value.storage.place) {
                try Self.emptyState(kind, count: parameter.value.count, backend: backend)
            }
        }
    }

    private static func emptyState(
        _ kind: OptimizerKind, count: Int, backend: any Backend
    ) throws -> State {
        if kind == .adamW8bit && count >= smallest8bitCount {
            return .quantized(try emptyState(count: count, backend: backend))
        }
        let state = (try backend.tensor(.float32, [count]), try backend.tensor(.float32, [count]))
        backend.zero(state.0)
        backend.zero(state.1)
        return .full(first: state.0, second: state.1)
    }

    private static func emptyState(count: Int, backend: any Backend) throws -> Adam8bitState {
        let blocks = (count + 255) / 256
        let state = Adam8bitState(
            first: try backend.tensor(.uint8, [count]), second: try backend.tensor(.uint8, [count]),
            firstAbsmax: try backend.tensor(.float32, [blocks]),
            secondAbsmax: try backend.tensor(.float32, [blocks]))
        // bitsandbytes starts all state bytes at zero; with absmax 0 every code means 0.
        for tensor in [state.first, state.second, state.firstAbsmax, state.secondAbsmax] {
            backend.zero(tensor)
        }
        return state
    }

    /// One update of every parameter. Gradients are multiplied by `gradientScale` first.
    package func step(learningRate: Double, step: Int, gradientScale: Float) {
        let numbers = AdamWStep(
            learningRate: learningRate, beta1: hyperparameters.beta1,
            beta2: hyperparameters.beta2, epsilon: hyperparameters.epsilon,
            weightDecay: hyperparameters.weightDecay, step: step, gradientScale: gradientScale)
        for (parameter, state) in zip(parameters, states) {
            let value = parameter.value.reshaped([parameter.value.count])
            let gradient = parameter.gradient.reshaped([parameter.value.count])
            switch state {
            case .full(let first, let second):
                backend.adamW(
                    value, gradient: gradient, firstMoment: first, secondMoment: second,
                    step: numbers)
            case .quantized(let state):
                backend.adamW8bit(value, gradient: gradient, state: state, step: numbers)
            }
        }
    }

    /// Every state tensor by name, for checkpoints: torch's and bitsandbytes' names behind the parameter's.
    package var tensors: [(name: String, tensor: Tensor)] {
        zip(parameters, states).flatMap { parameter, state -> [(name: String, tensor: Tensor)] in
            switch state {
            case .full(let first, let second):
                [(parameter.name + ".exp_avg", first), (parameter.name + ".exp_avg_sq", second)]
            case .quantized(let state):
                [
                    (parameter.name + ".state1", state.first),
                    (parameter.name + ".state2", state.second),
                    (parameter.name + ".absmax1", state.firstAbsmax),
                    (parameter.name + ".absmax2", state.secondAbsmax),
                ]
            }
        }
    }

    /// Bytes of the states on a device.
    package func byteCount(on device: Int) -> Int {
        tensors.filter { $0.tensor.storage.place == device }
            .reduce(0) { $0 + $1.tensor.byteCount }
    }
}
