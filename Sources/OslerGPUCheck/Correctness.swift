internal import ArgumentParser
internal import OslerCUDA
internal import OslerCompute
internal import OslerTestSupport

struct Correctness: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Every operation on the card against the plain reference.",
        discussion: """
            The conformance suite in float32, bfloat16 and float16, gradients against difference quotients, the bits of a \
            product's row in batches of other sizes, and bits that repeat. Stops at the first group with something \
            wrong, with exit code 1.
            """)

    @OptionGroup var card: CardArguments
    @Option(help: "Run only every so-manieth case, to try the command out.") var every = 1

    func validate() throws {
        guard every > 0 else { throw ValidationError("--every is \(every), give a number from 1") }
    }

    func run() throws {
        for precision in [Precision.float32, .bfloat16, .float16] {
            let backend = try card.backend(precision)
            if precision == .float32 { show(backend.card.name) }
            for op in ConformanceOp.allCases {
                let cases = ConformanceCase.of(op).enumerated().filter { $0.offset % every == 0 }
                try group("\(op.rawValue), \(precision)", cases.map(\.element)) { item in
                    try [false, true].flatMap {
                        try item.mismatches(on: backend, misaligned: $0)
                    }
                }
            }
            let again = [ConformanceOp.multiply, .attention, .attentionBackward]
                .flatMap { ConformanceCase.of($0).suffix(40) }.enumerated()
                .filter { $0.offset % every == 0 }.map(\.element)
            try group("the same bits again, \(precision)", again) { item in
                try item.bits(on: backend) == item.bits(on: backend) ? [] : ["other bits"]
            }
            try group("a row's bits in any batch, \(precision)", RowBits.allCases) {
                try $0.problems(on: backend)
            }
            if every == 1 {
                try group("a row's bits, a layer's size, \(precision)", RowBits.allCases) {
                    try $0.problems(
                        on: backend, depth: 4096, columns: 1024,
                        batches: [(16, [1, 7]), (2048, [17, 64, 100, 511, 1024, 2047])])
                }
            }
            if precision == .float32 {
                try group("gradients are the slopes", GradientCase.all) {
                    try $0.problems(on: backend)
                }
            }
        }
        show("correct")
    }

    /// Runs the cases of a group and prints one line.
    ///
    /// - Parameter problems: what is wrong with a case; a thrown error is a problem too.
    private func group<Case>(
        _ name: String, _ cases: [Case], problems: (Case) throws -> [String]
    ) throws {
        let begin = monotonicSeconds()
        for item in cases {
            let found: [String]
            do { found = try problems(item) } catch { found = ["\(error)"] }
            if found.isEmpty { continue }
            show("WRONG  \(name): \(item)")
            for problem in found.prefix(8) { show("       \(problem)") }
            throw ExitCode.failure
        }
        let tenths = Int(((monotonicSeconds() - begin) * 10).rounded())
        show("ok     \(name): \(cases.count) cases, \(tenths / 10).\(tenths % 10) s")
    }
}
