internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats
internal import OslerModels

struct HeadTime: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "head",
        abstract: "The head and its loss, forward and backward, in bfloat16.")

    @OptionGroup var card: CardArguments
    @Option(help: "Rows in the loss.") var rows = 8192
    @Option(help: "Entries of the vocabulary.") var vocabulary = 128_256
    @Option(help: "The model's width.") var width = 4096

    func run() throws {
        let backend = try card.backend(.bfloat16)
        var weights = try RandomWeights(backend: backend, isQuantized: false, seed: 3)
        let hidden = try weights.dense([rows, width])
        let head = FrozenMatrix.dense(try weights.dense([vocabulary, width]))
        let targets = try backend.tensor(
            (0..<rows).map { Int32($0 * 7919 % vocabulary) }, [rows])
        let perRow = try (0..<3).map { _ in try backend.tensor(.float32, [rows]) }
        let gradient = try backend.tensor(.float32, [rows, width])
        let held = hidden.byteCount + head.byteCount + targets.byteCount + gradient.byteCount
        let bytes = backend.linearCrossEntropyWorkspace(
            rows: rows, width: width, vocabulary: vocabulary)
        let workspace = try backend.tensor(.uint8, [bytes])
        let seconds = try backend.measureSeconds {
            backend.linearCrossEntropy(
                hidden: hidden, head: head, targets: targets, loss: .nll, scale: 1,
                logProbabilities: perRow[0], entropies: perRow[1], isTop: perRow[2],
                gradient: gradient, workspace: workspace)
        }
        // Whatever was allocated beside what a caller needs, cuBLASLt's workspace too.
        let scratch = backend.peakBytes - held - perRow.reduce(0) { $0 + $1.byteCount }
        // Logits, and the hidden states' gradient.
        let flops = 4 * Double(rows) * Double(vocabulary) * Double(width)
        report([
            "name": "head and loss", "rows": .integer(rows), "vocabulary": .integer(vocabulary),
            "width": .integer(width), "seconds": .number(seconds),
            "flops_per_second": .number(flops / seconds),
            "scratch_bytes": .integer(scratch),
        ])
    }
}
