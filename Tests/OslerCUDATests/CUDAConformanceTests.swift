import OslerCUDA
import OslerCompute
import OslerTestSupport
import Testing

/// Every op of the CUDA backend, its kernels run by the simulator, against the reference.
@Suite struct CUDAConformanceTests {
    @Test(arguments: [Precision.float32, .bfloat16, .float16], ConformanceOp.allCases)
    func `agrees with the reference`(precision: Precision, op: ConformanceOp) throws {
        let cases = ConformanceCase.of(op)
        #expect(!cases.isEmpty)
        let backend = try Simulator.backend(precision)
        let guardBytes = try Simulator.guardsMemory() ? 0 : 64
        for item in cases {
            for misaligned in [false, true] {
                let problems = try item.mismatches(
                    on: backend, misaligned: misaligned, guardBytes: guardBytes)
                #expect(problems.isEmpty, "\(item)\(misaligned ? ", misaligned" : "")")
            }
        }
    }

    @Test(arguments: [Precision.float32, .float16], GradientCase.all)
    func `gradients are the slopes`(precision: Precision, item: GradientCase) throws {
        #expect(try item.problems(on: Simulator.backend(precision)).isEmpty)
    }

    /// Scratch that grew and tables that were kept change nothing.
    @Test(
        arguments: [Precision.float32, .bfloat16, .float16],
        [ConformanceOp.multiply, .attentionBackward])
    func `gives the same bits again`(precision: Precision, op: ConformanceOp) throws {
        let backend = try Simulator.backend(precision)
        let cases = ConformanceCase.of(op).suffix(40)
        let first = try cases.map { try $0.bits(on: backend) }
        #expect(try cases.map { try $0.bits(on: backend) } == first)
    }
}
