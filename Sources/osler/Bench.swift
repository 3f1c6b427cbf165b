internal import ArgumentParser

/// What this machine can do, before anything is downloaded: one file a subcommand.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures what this machine can do, with no files at all.",
        discussion: """
            osler bench train --shape r1-distill-llama-8b --random-weights --nf4
            osler bench quantize
            """,
        subcommands: [BenchTrain.self, BenchQuantize.self])
}
