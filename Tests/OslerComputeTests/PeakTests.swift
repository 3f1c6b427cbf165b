import OslerCompute
import Testing

/// The measured peak of the machine.
@Suite struct PeakTests {
    @Test(arguments: CPUBackend.ISA.supported, [Precision.float32, .bfloat16])
    func `is a positive number`(isa: CPUBackend.ISA, precision: Precision) throws {
        let backend = try CPUBackend(precision: precision, threads: 2, isa: isa)
        let flops = backend.measurePeakFlops()
        // A thousandth of, and a thousand times what a core does.
        #expect(flops > 1e7 && flops < 1e15)
    }

    @Test func `memory is read at a positive rate`() throws {
        let bandwidth = try CPUBackend(precision: .float32, threads: 2).measureReadBandwidth()
        #expect(bandwidth > 1e6 && bandwidth < 1e14)
    }
}
