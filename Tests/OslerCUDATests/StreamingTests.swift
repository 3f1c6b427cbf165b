#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif
import OslerCUDA
import OslerCompute
import OslerModels
import OslerTestSupport
import Testing

/// Blocks that wait in host memory give the bits of blocks that are on the device.
@Suite(.serialized) struct StreamingTests {
    /// Who computes, and when the simulated card copies from the host: as late as it may, where a missing wait of the
    /// work for a copy shows, or as early, where one of a copy for the work does.
    enum Place: String, CaseIterable, CustomTestStringConvertible {
        case host, lateCopies, earlyCopies
        var testDescription: String { rawValue }

        func backend(_ precision: Precision) throws -> any Backend {
            if self == .host { return try CPUBackend(precision: precision, threads: 2) }
            try Self.setEagerUploads(self == .earlyCopies)
            return try Simulator.backend(precision)
        }

        private static func setEagerUploads(_ eager: Bool) throws {
            typealias Function = @convention(c) (Int32) -> Void
            let library = try #require(
                dlopen(try #require(Simulator.library), RTLD_NOW | RTLD_LOCAL))
            let function = try #require(dlsym(library, "cusim_set_eager_uploads"))
            unsafeBitCast(function, to: Function.self)(eager ? 1 : 0)
        }
    }

    private func results(
        on backend: any Backend, streaming count: Int, isQuantized: Bool = false,
        checkpointing: Checkpointing = .block
    ) throws -> (values: [[Float]], fetches: Int) {
        let run = TinyRun(isQuantized: isQuantized, checkpointing: checkpointing)
        return try run.results(on: backend, Placement(streaming: count, of: TinyRun.layers))
    }

    @Test(arguments: Place.allCases, [3, 4, 6])
    func `gives the bits of resident blocks`(place: Place, count: Int) throws {
        let backend = try place.backend(.bfloat16)
        let expected = try results(on: backend, streaming: 0)
        let actual = try results(on: backend, streaming: count)
        #expect(actual.values == expected.values)
        #expect(!actual.values.joined().contains { !$0.isFinite })
        // Each block up, and on the way down all but the two that are still there; the next step begins with two.
        #expect(expected.fetches == 0 && actual.fetches == 2 * (2 * count - 2) - 2)
    }

    @Test(arguments: Place.allCases, [false, true])
    func `whatever is kept and however weights are held`(place: Place, isQuantized: Bool) throws {
        let backend = try place.backend(isQuantized ? .bfloat16 : .float32)
        let kept = Checkpointing.keeping(3)
        let expected = try results(
            on: backend, streaming: 0, isQuantized: isQuantized, checkpointing: kept)
        let actual = try results(
            on: backend, streaming: 5, isQuantized: isQuantized, checkpointing: kept)
        #expect(actual.values == expected.values)
    }

    @Test func `two slots take the place of the streamed blocks on the card`() throws {
        func weights(streaming count: Int) throws -> (bytes: Int, model: CausalLM) {
            let backend = try Simulator.backend(.bfloat16)
            let model = try CausalLM.random(
                TinyRun().configuration, backend: backend, isQuantized: false, positions: 64,
                placement: Placement(streaming: count, of: TinyRun.layers))
            return (backend.peakBytes, model)
        }
        let (all, whole) = try weights(streaming: 0)
        let (some, _) = try weights(streaming: 5)
        let block = whole.blocks[0]
        #expect(BlockStream.slotBytes(Array(whole.blocks[1...])) == 2 * block.packedByteCount)
        #expect(all - some == 5 * block.weightBytes - 2 * block.packedByteCount)
    }
}
