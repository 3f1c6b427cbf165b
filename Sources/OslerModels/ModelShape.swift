/// Models whose sizes are known without their files: the values of their `config.json`.
package enum ModelShape: String, Sendable, CaseIterable {
    case smolLM2 = "smollm2-135m"
    case r1DistillQwen = "r1-distill-qwen-1.5b"
    case r1DistillLlama = "r1-distill-llama-8b"
    case r1DistillLlamaLarge = "r1-distill-llama-70b"
    case qwen3Smallest = "qwen3-0.6b"
    case qwen3Small = "qwen3-1.7b"
    case qwen3Medium = "qwen3-4b"
    case qwen3Large = "qwen3-8b"
    /// No model's: to try a command out, on a simulated card too.
    case tiny

    package var configuration: ModelConfiguration {
        switch self {
        case .smolLM2:
            ModelConfiguration(
                family: .llama, hiddenSize: 576, intermediateSize: 1536, layers: 30, heads: 9,
                keyValueHeads: 3, headWidth: 64, vocabularySize: 49152, maxPositions: 8192,
                epsilon: 1e-5, rotary: RotaryConfiguration(theta: 100_000), tiedHead: true)
        case .r1DistillQwen:
            ModelConfiguration(
                family: .qwen2, hiddenSize: 1536, intermediateSize: 8960, layers: 28, heads: 12,
                keyValueHeads: 2, headWidth: 128, vocabularySize: 151_936, maxPositions: 131_072,
                epsilon: 1e-6, rotary: RotaryConfiguration(theta: 10000), tiedHead: false,
                attentionBias: true)
        case .r1DistillLlama: .llama31(width: 4096, mlp: 14336, layers: 32, heads: 32)
        case .r1DistillLlamaLarge: .llama31(width: 8192, mlp: 28672, layers: 80, heads: 64)
        case .qwen3Smallest: .qwen3(width: 1024, mlp: 3072, layers: 28, heads: 16, tied: true)
        case .qwen3Small: .qwen3(width: 2048, mlp: 6144, layers: 28, heads: 16, tied: true)
        case .qwen3Medium: .qwen3(width: 2560, mlp: 9728, layers: 36, heads: 32, tied: true)
        case .qwen3Large: .qwen3(width: 4096, mlp: 12288, layers: 36, heads: 32, tied: false)
        case .tiny:
            ModelConfiguration(
                family: .llama, hiddenSize: 64, intermediateSize: 128, layers: 2, heads: 4,
                keyValueHeads: 2, headWidth: 16, vocabularySize: 256, maxPositions: 1024,
                epsilon: 1e-5, rotary: RotaryConfiguration(theta: 10000), tiedHead: false)
        }
    }
}

extension ModelConfiguration {
    fileprivate static func llama31(
        width: Int, mlp: Int, layers: Int, heads: Int
    ) -> ModelConfiguration {
        ModelConfiguration(
            family: .llama, hiddenSize: width, intermediateSize: mlp, layers: layers, heads: heads,
            keyValueHeads: 8, headWidth: 128, vocabularySize: 128_256, maxPositions: 131_072,
            epsilon: 1e-5,
            rotary: RotaryConfiguration(
                theta: 500_000,
                scaling: .llama3(
                    factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                    originalMaxPositions: 8192)), tiedHead: false)
    }

    fileprivate static func qwen3(
        width: Int, mlp: Int, layers: Int, heads: Int, tied: Bool
    ) -> ModelConfiguration {
        ModelConfiguration(
            family: .qwen3, hiddenSize: width, intermediateSize: mlp, layers: layers, heads: heads,
            keyValueHeads: 8, headWidth: 128, vocabularySize: 151_936, maxPositions: 40960,
            epsilon: 1e-6, rotary: RotaryConfiguration(theta: 1_000_000), tiedHead: tied,
            headNorms: true)
    }
}
