import OslerCUDA
import OslerCompute
import OslerModels
import Testing

/// A model over several devices gives the bits of one.
@Suite struct DeviceGroupTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case cpu, reference, card
        var testDescription: String { rawValue }

        /// Cards are one and the same here, but with queues of their own; `DeviceTests` has different ones.
        func make(_ precision: Precision) throws -> any Backend {
            switch self {
            case .cpu: try CPUBackend(precision: precision, threads: 1)
            case .reference: ReferenceBackend(precision: precision)
            case .card: try Simulator.backend(precision)
            }
        }
    }

    private static func placement(_ shares: [Int], streamed: [Int] = []) -> Placement {
        var placement = Placement()
        (placement.shares, placement.streamed) = (shares, streamed)
        return placement
    }

    @Test(
        arguments: Kind.allCases,
        [
            placement([4, 2]), placement([1, 2, 3]), placement([3, 3], streamed: [3, 4, 5]),
            placement([5, 1], streamed: [0, 1, 2, 4]),
        ])
    func `gives the bits of one device`(kind: Kind, placement: Placement) throws {
        let run = TinyRun(tiedHead: placement.devices == 2, checkpointing: .keeping(3))
        let expected = try run.results(on: kind.make(.bfloat16), Placement()).values
        let group = DeviceGroup(
            try (0..<placement.devices).map { _ in try kind.make(.bfloat16) })
        let actual = try run.results(on: group, placement).values
        #expect(actual == expected)
        #expect(!actual.joined().contains { !$0.isFinite })
    }

    @Test func `quantized weights and the profiler's measuring change nothing`() throws {
        let run = TinyRun(isQuantized: true)
        let expected = try run.results(on: Kind.card.make(.bfloat16), Placement()).values
        let group = DeviceGroup([try Kind.card.make(.bfloat16), try Kind.card.make(.bfloat16)])
        let measured = try run.results(on: ProfilingBackend(group), Self.placement([2, 4]))
        #expect(measured.values == expected)
    }

    @Test func `what was copied from a card may be overwritten there`() throws {
        let group = DeviceGroup([try Simulator.backend(.float32), try Simulator.backend(.float32)])
        let source = try group.on(0) { try group.tensor([Float(1)], [1]) }
        let copy = try group.on(1) { try group.tensor([Float(0)], [1]) }
        group.copy(source, to: copy)
        group.zero(source)
        // The first card's work is done, the other one's as late as it may be.
        #expect(try group.members[0].floats(source) == [0])
        #expect(try group.floats(copy) == [1])
    }

    @Test func `what fails on one device is thrown, wherever results are read`() throws {
        let embedded = KernelSources.embedded
        let files = embedded.files.map { file in
            file.kernels.contains("osler_add")
                ? KernelSources.File(name: file.name, text: file.text + "#error no\n") : file
        }
        let broken = try CUDABackend(
            precision: .float32, search: Simulator.search(),
            sources: KernelSources(prelude: embedded.prelude, files: files))
        let group = DeviceGroup([broken, try Simulator.backend(.float32)])
        let first = try group.on(0) { try group.tensor([Float(1)], [1]) }
        let second = try group.on(1) { try group.tensor([Float(2)], [1]) }
        #expect(try group.floats(second) == [2])
        group.add(first, to: first)
        #expect(throws: CUDAError.self) { try group.floats(second) }
        #expect(throws: CUDAError.self) { try group.synchronize() }
    }
}
