internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerFormats

struct Ceilings: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copies within the card's memory, and a large bfloat16 matrix product.")

    @OptionGroup var card: CardArguments

    func run() throws {
        let backend = try card.backend(.bfloat16)
        report([
            "name": "copy", "card": .string(backend.card.name),
            "bytes_per_second": .number(try backend.measureBandwidth()),
        ])
        report([
            "name": "matrix product", "card": .string(backend.card.name),
            "flops_per_second": .number(try backend.measurePeakFlops()),
        ])
    }
}
