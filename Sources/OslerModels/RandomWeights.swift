package import OslerCompute

/// Weights out of nothing, to measure a model's speed and memory without its files. Made in the form in which they are
/// held, with no copy in float32: matrices in bfloat16, or NF4 with double quantization for layers that can be quantized;
/// standard deviation about 0.02 as transformers initialises; norms 1, biases 0.
package struct RandomWeights {
    private let backend: any Backend
    private let isQuantized: Bool
    private var generator: SplitMix64
    private var buffer = [UInt64](repeating: 0, count: 1 << 17)
    /// The rows of the embedding that are filled; nil: all. A run reads those of its tokens, in the model's file.
    private let tokens: Set<Int32>?

    /// Scales of NF4 blocks: codes drawn evenly from its table have a standard deviation of 0.517, which makes 0.02. All
    /// lie between 0.027 and 0.051.
    private static let (meanScale, scaleSpread): (Float, Float) = (0.0387, 0.012)
    private static let (blockSize, nestedBlockSize) = (64, 256)

    package init(
        backend: any Backend, isQuantized: Bool, tokens: Set<Int32>? = nil, seed: UInt64
    ) throws {
        (self.backend, self.isQuantized, self.tokens) = (backend, isQuantized, tokens)
        generator = SplitMix64(state: seed)
    }

    /// A weight by transformers' name.
    package mutating func weight(_ name: String, _ shape: [Int]) throws -> FrozenMatrix {
        if shape.count == 1 {
            let value: Float = name.hasSuffix(".bias") ? 0 : 1
            return .dense(try backend.tensor([Float](repeating: value, count: shape[0]), shape))
        }
        if name == "model.embed_tokens.weight", let tokens {
            return .dense(try rows(tokens, of: shape))
        }
        let isNF4 = isQuantized && name.hasPrefix("model.layers.")
        return isNF4 ? .nf4(try nf4(shape)) : .dense(try dense(shape))
    }

    /// A table whose other rows are never touched, and take no memory on a host.
    private mutating func rows(_ tokens: Set<Int32>, of shape: [Int]) throws -> Tensor {
        let bytes = shape[0] * shape[1] * DType.bfloat16.byteWidth
        let storage =
            backend.usesHostMemory
            ? try HostStorage.allocateUntouched(byteCount: bytes)
            : try backend.allocate(byteCount: bytes)
        let table = Tensor(storage: storage, dtype: .bfloat16, shape: shape)
        for token in tokens.sorted() { try fillBellShaped(table.rows(Int(token)..<Int(token) + 1)) }
        return table
    }

    private static func blocks(_ count: Int, _ size: Int) -> Int { (count + size - 1) / size }

    private mutating func nf4(_ shape: [Int]) throws -> NF4Matrix {
        let count = shape.reduce(1, *)
        let blocks = Self.blocks(count, Self.blockSize)
        let nestedBlocks = Self.blocks(blocks, Self.nestedBlockSize)
        let codes = try backend.tensor(.uint8, [(count + 1) / 2])
        let scales = try backend.tensor(.uint8, [blocks])
        try fill(codes) { $0 }
        try fill(scales) { $0 }
        let nested = NF4Matrix.Nested(
            absmax: try backend.tensor(
                [Float](repeating: Self.scaleSpread, count: nestedBlocks), [nestedBlocks]),
            table: try backend.tensor(DynamicMap.signed, [256]), offset: Self.meanScale,
            blockSize: Self.nestedBlockSize)
        return NF4Matrix(
            rows: shape[0], columns: shape[1], blockSize: Self.blockSize, codes: codes,
            absmax: scales, nested: nested)
    }

    /// A matrix in bfloat16, or anything of another shape.
    package mutating func dense(_ shape: [Int]) throws -> Tensor {
        let tensor = try backend.tensor(.bfloat16, shape)
        try fillBellShaped(tensor)
        return tensor
    }

    private mutating func fillBellShaped(_ tensor: Tensor) throws {
        let values = Self.bellShaped
        try fill(tensor) { random in
            var (rest, bits): (UInt64, UInt64) = (random, 0)
            for _ in 0..<4 {
                bits = bits << 16 | UInt64(values[Int(rest & 255) + Int(rest >> 8 & 255)])
                rest >>= 16
            }
            return bits
        }
    }

    /// What the sum of two random bytes becomes: a triangle between -0.049 and 0.049 with standard deviation 0.02, as
    /// bfloat16.
    private static let bellShaped: [UInt16] = (0...510).map { sum in
        // A random byte has a variance of (256^2 - 1) / 12.
        BFloat16.bits(Float(sum - 255) * Float(0.02 / (65535.0 / 6).squareRoot()))
    }

    /// Writes random 64-bit words as `form` turns them, a piece at a time.
    private mutating func fill(_ tensor: Tensor, _ form: (UInt64) -> UInt64) throws {
        let bytes = Tensor(
            storage: tensor.storage, byteOffset: tensor.byteOffset, dtype: .uint8,
            shape: [tensor.byteCount])
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + buffer.count * 8)
            for i in 0..<(end - start + 7) / 8 { buffer[i] = form(generator.next()) }
            buffer.withUnsafeBytes {
                backend.write(
                    UnsafeRawBufferPointer(rebasing: $0[..<(end - start)]),
                    to: bytes.rows(start..<end))
            }
            start = end
        }
    }
}

extension CausalLM {
    /// A model of this shape with random weights; see `RandomWeights`.
    ///
    /// - Parameters:
    ///   - positions: the longest sequence that will be run.
    ///   - tokens: all that the model will be given; nil: any.
    package static func random(
        _ configuration: ModelConfiguration, backend: any Backend, isQuantized: Bool,
        positions: Int, placement: Placement = Placement(), tokens: Set<Int32>? = nil,
        seed: UInt64 = 1
    ) throws -> CausalLM {
        var weights = try RandomWeights(
            backend: backend, isQuantized: isQuantized,
            tokens: configuration.tiedHead ? nil : tokens, seed: seed)
        return try build(
            configuration, backend: backend, positions: positions, placement: placement
        ) {
            try weights.weight($0, $1)
        }
    }
}
