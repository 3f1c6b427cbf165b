internal import ArgumentParser
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats

/// `osler-gpu-check`: what Scripts/gpu-check asks a card, one question a subcommand.
@main
struct GPUCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "osler-gpu-check",
        abstract: "Tests Osler's kernels on a GPU, and measures them.",
        discussion: """
            Scripts/gpu-check runs all of it, with targets and rivals. A measurement is one JSON object a line, of \
            what was measured alone: shares of ceilings and targets are the script's.
            """,
        subcommands: [
            Correctness.self, Ceilings.self, HeadTime.self, AttentionTime.self, DecodingTime.self,
        ])
}

/// The card that a subcommand runs on.
struct CardArguments: ParsableArguments {
    @Option(help: "Which card, counted from 0.") var device = 0

    func backend(_ precision: Precision) throws -> CUDABackend {
        try CUDABackend(precision: precision, device: device)
    }
}

/// Prints a line at once: a check that is cut off has told what it has.
func show(_ line: String) {
    print(line)
    fflush(nil)
}

/// Prints a measurement.
func report(_ values: JSON.Object) { show(JSON.object(values).serialized()) }
