import OslerCompute
import OslerTestSupport
import Testing

/// Every op of the CPU backend, on every instruction set of this machine, against the reference.
@Suite struct ConformanceTests {
    struct Configuration: CustomTestStringConvertible {
        let isa: CPUBackend.ISA
        let precision: Precision
        var isProfiled = false
        var testDescription: String { "\(isa) \(precision)\(isProfiled ? " profiled" : "")" }

        func backend() throws -> any Backend {
            let cpu = try CPUBackend(precision: precision, threads: 2, isa: isa)
            return isProfiled ? ProfilingBackend(cpu) : cpu
        }
    }

    static let configurations = [Precision.float32, .bfloat16].flatMap { precision in
        CPUBackend.ISA.supported.map { Configuration(isa: $0, precision: precision) }
            + [Configuration(isa: .best, precision: precision, isProfiled: true)]
    }

    @Test(arguments: configurations, ConformanceOp.allCases)
    func `agrees with the reference`(on configuration: Configuration, op: ConformanceOp) throws {
        let cases = ConformanceCase.of(op)
        #expect(!cases.isEmpty)
        let backend = try configuration.backend()
        for item in cases {
            for misaligned in [false, true] {
                let problems = try item.mismatches(on: backend, misaligned: misaligned)
                #expect(problems.isEmpty, "\(item)\(misaligned ? ", misaligned" : "")")
            }
        }
    }

    @Test(arguments: [Precision.float32, .bfloat16], ConformanceOp.allCases)
    func `gives the same bits on any number of threads`(precision: Precision, op: ConformanceOp)
        throws
    {
        let backends = try [1, 2, 5].map { try CPUBackend(precision: precision, threads: $0) }
        for item in ConformanceCase.of(op) {
            let expected = try item.bits(on: backends[0])
            for backend in backends.dropFirst() {
                #expect(try item.bits(on: backend) == expected, "\(item)")
            }
        }
    }

    /// Products differ in the order of their sums; everything else is one source with no fused
    /// multiply-add.
    @Test(
        arguments: [Precision.float32, .bfloat16],
        [
            ConformanceOp.copy, .add, .embed, .rmsNorm, .rmsNormBackward, .rope, .swiglu,
            .swigluBackward, .dropout, .addDropout, .gatherRows, .scatterRows, .sumOfSquares,
            .adamW, .adamW8bit,
        ])
    func `gives the same bits on every instruction set`(precision: Precision, op: ConformanceOp)
        throws
    {
        let backends = try CPUBackend.ISA.supported.map {
            try CPUBackend(precision: precision, threads: 1, isa: $0)
        }
        for item in ConformanceCase.of(op) {
            let expected = try item.bits(on: backends[0])
            for backend in backends.dropFirst() {
                #expect(try item.bits(on: backend) == expected, "\(item) on \(backend.name)")
            }
        }
    }
}
