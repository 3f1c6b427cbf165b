internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerModels

struct AttentionTime: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attention",
        abstract: "Causal attention over one sequence, forward and backward, in bfloat16.",
        discussion: """
            Counted are the products that are needed on visible scores: 4 flops a score, head and element forward, 8 \
            backward. Scores that backward computes again are not counted (with them it would be 10).
            """)

    @OptionGroup var card: CardArguments
    @Option(help: "Tokens of the sequence.") var tokens = 16384
    @Option(help: "Query heads.") var heads = 32
    @Option(help: "Key and value heads.") var keyHeads = 8
    @Option(help: "Elements of a head.") var width = 128

    func run() throws {
        let backend = try card.backend(.bfloat16)
        var weights = try RandomWeights(backend: backend, isQuantized: false, seed: 5)
        func random(_ heads: Int) throws -> Tensor { try weights.dense([tokens, heads, width]) }
        let (q, k, v) = (try random(heads), try random(keyHeads), try random(keyHeads))
        let outputGradient = try random(heads)
        let output = try backend.tensor(.bfloat16, q.shape)
        let sums = try backend.tensor(.float32, [heads, tokens])
        let gradients = try [q, k, v].map { try backend.tensor(.bfloat16, $0.shape) }
        let sequences = SequenceTable(lengths: [tokens])
        let scale = 1 / Float(width).squareRoot()
        let forward = try backend.measureSeconds {
            backend.attention(
                query: q, key: k, value: v, sequences: sequences, scale: scale, output: output,
                logSumExp: sums)
        }
        let backward = try backend.measureSeconds {
            backend.attentionBackward(
                outputGradient, query: q, key: k, value: v, output: output, logSumExp: sums,
                sequences: sequences, scale: scale, queryGradient: gradients[0],
                keyGradient: gradients[1], valueGradient: gradients[2])
        }
        let scores = Double(tokens) * Double(tokens + 1) / 2 * Double(heads * width)
        for (name, seconds, flops) in [
            ("attention forward", forward, 4 * scores),
            ("attention backward", backward, 8 * scores),
        ] {
            report([
                "name": .string(name), "tokens": .integer(tokens), "heads": .integer(heads),
                "key_heads": .integer(keyHeads), "width": .integer(width),
                "seconds": .number(seconds), "flops_per_second": .number(flops / seconds),
            ])
        }
    }
}
