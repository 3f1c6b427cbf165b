import OslerCUDA
import OslerCompute
import OslerFormats
import Testing

@Suite struct FailureTests {
    /// An operation can't throw: what failed is thrown where the caller waits, and stays.
    @Test func `the first failure is kept and thrown by read and synchronize`() throws {
        let embedded = KernelSources.embedded
        let files = embedded.files.map { file in
            file.kernels.contains("osler_add") || file.kernels.contains("osler_rope")
                ? KernelSources.File(name: file.name, text: file.text + "#error no\n") : file
        }
        let backend = try CUDABackend(
            precision: .float32, search: Simulator.search(),
            sources: KernelSources(prelude: embedded.prelude, files: files))
        let values: [Float] = [1, 2]
        let (x, y) = (try backend.tensor(values, [2]), try backend.tensor(values, [2]))
        let one = try backend.tensor([Float(1)], [1, 1])
        let index = try backend.tensor([Int32(0)], [1])
        try backend.synchronize()
        backend.add(x, to: y)
        backend.rope(
            x.reshaped([1, 1, 2]), positions: index, cosine: one, sine: one, inverse: false)
        for _ in 0..<2 {
            let thrown = #expect(throws: CUDAError.self) { try backend.synchronize() }
            #expect(thrown?.problem.contains("elementwise.cu") == true, "\(thrown as Any)")
            #expect(throws: CUDAError.self) { try backend.floats(y) }
            #expect(throws: CUDAError.self) { try backend.allocate(byteCount: 1) }
        }
    }

    @Test func `memory that the card lacks is an error with what is left`() throws {
        let backend = try Simulator.backend(.float32)
        let thrown = #expect(throws: CUDAError.self) { try backend.allocate(byteCount: 1 << 50) }
        #expect(thrown?.code == "CUDA_ERROR_OUT_OF_MEMORY")
        #expect(thrown?.description.contains("the GPU has") == true)
        #expect(thrown?.remedy?.contains("max_length") == true)
        // That was the caller's to handle; the card still works.
        #expect(try backend.floats(backend.tensor([Float(3)], [1])) == [3])
    }

    @Test func `bytes of a file are copied, however long`() throws {
        final class Owner: Sendable {}
        let backend = try Simulator.backend(.float32)
        // Two laps of the staging ring, and a rest; each piece other bytes.
        let bytes = (0..<(2 * (16 << 20) + 5)).map {
            UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 9 ^ $0 >> 20)
        }
        let storage = try bytes.withUnsafeBytes { try backend.adopt($0, owner: Owner()) }
        let tensor = Tensor(storage: storage, dtype: .uint8, shape: [bytes.count])
        #expect(try backend.bytes(tensor) == bytes)
        #expect(backend.peakBytes >= bytes.count)
    }
}
