internal import ArgumentParser
internal import OslerCompute
internal import OslerFormats
internal import OslerModels

struct BenchQuantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Quantizes a random bfloat16 matrix to NF4 with double quantization, in memory.",
        discussion: """
            Says how many bytes a second are read and written, and which share that is of the bandwidth with which this \
            machine's threads read memory, measured just before and after.

            osler bench quantize
            """)

    @Option(help: "Rows of the matrix; those of an 8B model's feed-forward layer are the default.")
    var rows = 14336

    @Option(help: "Columns of the matrix.")
    var columns = 4096

    @Option(help: "How often.")
    var repeats = 8

    @Option(help: "Use this many threads (default: one a core).")
    var threads: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard rows > 0, columns > 0, rows <= 1 << 30 / columns else {
            throw ValidationError("give --rows and --columns of at most 2^30 values together")
        }
        guard (1...1000).contains(repeats), (1...1024).contains(threads ?? 1) else {
            throw ValidationError("give --repeats from 1 to 1000 and --threads from 1 to 1024")
        }
    }

    func run() throws {
        let backend = try CPUBackend(precision: .bfloat16, threads: threads)
        var weights = try RandomWeights(backend: backend, isQuantized: false, seed: 1)
        let values = try weights.dense([rows, columns])
        var (best, bytes) = (Double.infinity, 0)
        var bandwidth = backend.measureReadBandwidth()
        for _ in 0..<repeats {
            let start = monotonicSeconds()
            let matrix = try NF4.quantize(values, doubleQuantized: true, on: backend.pool)
            best = min(best, monotonicSeconds() - start)
            bytes = values.byteCount + matrix.byteCount
        }
        bandwidth = max(bandwidth, backend.measureReadBandwidth())
        let rate = Double(bytes) / best
        let result: JSON = .object(
            JSON.Object([
                ("rows", .integer(rows)), ("columns", .integer(columns)),
                ("threads", .integer(backend.pool.threads)), ("seconds", .number(best)),
                ("bytes_per_second", .number(rate)), ("read_bandwidth", .number(bandwidth)),
                ("share_of_bandwidth", .number(rate / bandwidth)),
            ]))
        Console(quiet: json).print(
            json
                ? result.serialized(indent: 2)
                : "\(rows) x \(columns): \((rate / 1e9).fixed(1)) GB/s read and written, "
                    + "\((100 * rate / bandwidth).fixed(0)) % of the \((bandwidth / 1e9).fixed(1)) GB/s "
                    + "that \(backend.pool.threads) threads read")
    }
}
