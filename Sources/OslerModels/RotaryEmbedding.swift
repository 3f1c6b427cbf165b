package import OslerCompute
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How rotary frequencies follow from a model's configuration.
package struct RotaryConfiguration: Sendable, Equatable {
    /// Changes of the plain frequencies `theta^(-2i/h)`.
    package enum Scaling: Sendable, Equatable {
        case none
        /// Frequencies divided by `factor` (Chen et al. 2023, position interpolation).
        case linear(factor: Double)
        /// Llama 3.1's: low frequencies divided by `factor`, high ones kept, between them a blend.
        case llama3(
            factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
            originalMaxPositions: Int)
        /// Each frequency divided by its own number, as GGUF files give them (`rope_freqs.weight`).
        case divisors([Float])
    }
    package var theta: Double
    package var scaling: Scaling

    package init(theta: Double, scaling: Scaling = .none) {
        (self.theta, self.scaling) = (theta, scaling)
    }

    /// The `headWidth / 2` inverse frequencies, in float32 as transformers holds them.
    package func inverseFrequencies(headWidth: Int) -> [Float] {
        (0..<headWidth / 2).map { i in
            let plain = 1 / powf(Float(theta), Float(2 * i) / Float(headWidth))
            switch scaling {
            case .none: return plain
            case .linear(let factor): return plain / Float(factor)
            case .divisors(let divisors): return plain / divisors[i]
            case .llama3(let factor, let low, let high, let original):
                let wavelength = 2 * Float.pi / plain
                if wavelength < Float(original) / Float(high) { return plain }
                if wavelength > Float(original) / Float(low) { return plain / Float(factor) }
                let blend = (Float(original) / wavelength - Float(low)) / Float(high - low)
                return (1 - blend) * plain / Float(factor) + blend * plain
            }
        }
    }
}

extension RotaryConfiguration {
    /// Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (4) of a `config.json`.
    init(_ reader: ModelConfigurationReader) throws {
        let parameters = try reader.section("rope_parameters")
        theta =
            try parameters?.optionalNumber("rope_theta") ?? reader.optionalNumber("rope_theta")
            ?? 10000
        scaling = .none
        guard let section = try parameters ?? reader.section("rope_scaling") else { return }
        let type = try section.optionalString("rope_type") ?? section.optionalString("type")
        switch type {
        case nil, "default"?: break
        case "linear"?: scaling = .linear(factor: try section.number("factor"))
        case "llama3"?:
            let (low, high) = (
                try section.number("low_freq_factor"), try section.number("high_freq_factor")
            )
            guard low < high else {
                throw section.error(
                    "low_freq_factor", "\(low) is not below high_freq_factor, \(high)")
            }
            scaling = .llama3(
                factor: try section.number("factor"), lowFrequencyFactor: low,
                highFrequencyFactor: high,
                originalMaxPositions: try section.size("original_max_position_embeddings"))
        case let type?:
            throw section.error(
                "rope_type", "unknown rope scaling \"\(type)\"",
                remedy: "Osler knows default, linear, llama3")
        }
    }
}

/// Cosines and sines of all positions up to a limit, float32 `[positions, h/2]` each.
package struct RotaryTables: Sendable {
    package let cosine: Tensor
    package let sine: Tensor
    package var positions: Int { cosine.rowCount }

    package static func byteCount(positions: Int, headWidth: Int) -> Int {
        positions * headWidth / 2 * 4 * 2
    }

    /// The same on each of a group's first `devices`.
    static func make(
        _ configuration: ModelConfiguration, positions: Int, devices: Int, backend: any Backend
    ) throws -> [RotaryTables] {
        try (0..<devices).map { device in
            try backend.on(device) {
                try RotaryTables(
                    configuration.rotary, headWidth: configuration.headWidth,
                    positions: positions, backend: backend)
            }
        }
    }

    package init(
        _ configuration: RotaryConfiguration, headWidth: Int, positions: Int, backend: any Backend
    ) throws {
        let half = headWidth / 2
        cosine = try backend.tensor(.float32, [positions, half])
        sine = try backend.tensor(.float32, [positions, half])
        guard !backend.isPlanning else { return }
        let frequencies = configuration.inverseFrequencies(headWidth: headWidth)
        var cosines = [Float](repeating: 0, count: positions * half)
        var sines = cosines
        for position in 0..<positions {
            for (i, frequency) in frequencies.enumerated() {
                let angle = Float(position) * frequency
                cosines[position * half + i] = cosf(angle)
                sines[position * half + i] = sinf(angle)
            }
        }
        backend.write(cosines, to: cosine)
        backend.write(sines, to: sine)
    }
}
