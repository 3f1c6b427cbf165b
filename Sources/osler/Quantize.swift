internal import ArgumentParser
internal import OslerCompute
internal import OslerFormats
internal import OslerInference
internal import OslerModels

struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a 4-bit (NF4) model that transformers with bitsandbytes loads.",
        discussion: """
            Byte for byte what bitsandbytes makes: blocks of 64, the scales in 8 bits themselves. Embeddings, head, \
            norms and biases stay 16-bit.

            osler quantize --model MODEL -o model-nf4
            osler quantize --model MODEL -o model-nf4 --no-double-quant
            """)

    @Option(
        name: .shortAndLong, help: "A Hugging Face folder, a .gguf file, or org/name on the hub.")
    var model: String

    @OptionGroup var destination: DestinationArguments

    @Flag(name: .customLong("no-double-quant"), help: "Keep the scales in float32.")
    var keepsScales = false

    @Option(help: "The type of what is not quantized: bfloat16 or float32.")
    var dtype: ComputeType = .bfloat16

    @Option(help: "Use this many threads (default: one a core).")
    var threads: Int?

    @Flag(help: "Print {\"output\", \"bytes\"}.")
    var json = false

    func run() throws {
        let console = Console(quiet: false)
        let stop = StopSignal()
        let quantizer = try ModelQuantizer(
            ModelFiles(HubFiles(console).path(model)), doubleQuantized: !keepsScales,
            precision: dtype.precision,
            threads: threads
        ) {
            console.progress("Quantizing", $0, $1)
            try stop.check()
        }
        let folder = try destination.create()
        let bytes = try folder.fill { place in
            try quantizer.quantize(into: place)
            return try WeightStore(place).byteCount
        }
        console.endProgress()
        try folder.commit()
        if json {
            let result: JSON = ["output": .string(destination.output), "bytes": .integer(bytes)]
            console.print(result.serialized(ensureASCII: false))
        } else {
            console.print("quantized model: \(destination.output), \(bytes.mebibytes)")
        }
    }
}
