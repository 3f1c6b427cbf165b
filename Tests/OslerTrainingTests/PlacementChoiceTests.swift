import OslerCompute
import OslerData
import OslerModels
import OslerTraining
import Testing

/// Which plan is taken, as the memory of one card or two shrinks.
@Suite struct PlacementChoiceTests {
    private static let configuration = ModelConfiguration(
        family: .llama, hiddenSize: 64, intermediateSize: 256, layers: 8, heads: 4,
        keyValueHeads: 2, headWidth: 16, vocabularySize: 100, maxPositions: 128, epsilon: 1e-6,
        rotary: RotaryConfiguration(theta: 10000), tiedHead: false)

    private static func devices(_ budgets: [Int?]) -> [PlannedDevice] {
        budgets.map {
            PlannedDevice(
                PlanningBackend(precision: .bfloat16), scratch: 1000, budget: $0, mayStream: true,
                overhead: PlannedDevice.nothing)
        }
    }

    private static func plan(
        _ checkpointing: Checkpointing, _ placement: Placement, on devices: [PlannedDevice]
    ) throws -> MemoryPlan {
        var options = TrainingOptions()
        options.checkpointing = checkpointing
        let batch = TokenBatch(sequences: [[Int32](repeating: 1, count: 32)], allTargets: true)
        return try MemoryPlan(
            model: configuration, quantization: .none, lora: LoRAConfiguration(),
            options: options, placement: placement, trainBatches: [batch], evalBatches: [batch],
            positions: 32, on: devices)
    }

    private static func best(
        _ budgets: [Int?], checkpointing: Checkpointing? = nil
    ) throws -> MemoryPlan {
        let devices = devices(budgets)
        return try PlacementChoice(
            blocks: configuration.layers, checkpointing: checkpointing, on: devices
        ) { try plan($0, $1, on: devices) }.best()
    }

    private static func total(
        _ checkpointing: Checkpointing, streaming count: Int = 0
    ) throws -> Int {
        try plan(checkpointing, Placement(streaming: count, of: 8), on: devices([nil])).total
    }

    @Test func `first blocks are computed again, then streamed, and no more than must be`() throws {
        let (all, none) = (try Self.total(.none), try Self.total(.block))
        let least = try Self.total(.block, streaming: 8)
        #expect(least < none && none < all)
        let roomy = try Self.best([all])
        #expect(roomy.recomputedBlocks == 0 && roomy.shares[0].streamedBlocks == 0)
        // Where the last block's values are kept they take the place of those computed again.
        let totals = try (0...8).map { try Self.total(.keeping($0)) }
        for kept in 0..<8 where totals[kept] < totals[kept + 1] {
            let tight = try Self.best([totals[kept + 1] - 1])
            #expect(tight.recomputedBlocks == 8 - kept && tight.placement.streamed.isEmpty)
        }
        // Two streamed blocks would save nothing.
        for (count, more) in zip([0, 3, 4, 5, 6, 7], [3, 4, 5, 6, 7, 8]) {
            let tight = try Self.best([try Self.total(.block, streaming: count) - 1])
            #expect(tight.recomputedBlocks == 8 && tight.placement.streamed.count == more)
            #expect(tight.total <= (try Self.total(.block, streaming: count)) - 1)
        }
        let tooSmall = try Self.best([least - 1])
        #expect(tooSmall.placement.streamed.count == 8 && tooSmall.total == least)
        // What was chosen stays.
        let fixed = try Self.best([none], checkpointing: Checkpointing.none)
        #expect(fixed.recomputedBlocks == 0 && !fixed.placement.streamed.isEmpty)
    }

    @Test func `a second card is taken before blocks are streamed, and only then`() throws {
        let none = try Self.total(.block)
        #expect(try Self.best([none, none]).shares.count == 1)
        let two = try Self.best([none - 1, none - 1])
        #expect(two.shares.count == 2 && two.placement.streamed.isEmpty)
        #expect(two.shares[0].total < none && two.shares[1].total < none)
        #expect(two.shares.map(\.blocks) == [0..<7, 7..<8] && two.recomputedBlocks < 8)
        let share = two.shares[1].total
        let uneven = try Self.best([none * 2 / 3, none * 2 / 3])
        #expect(uneven.shares.count == 2 && share > 0)
        #expect(uneven.shares.allSatisfy { $0.total <= none * 2 / 3 })
        let least = try Self.best([1, 1])
        #expect(least.placement.streamed.count == 8 && least.placement.shares == [4, 4])
    }
}
