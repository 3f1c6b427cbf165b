import OslerData
import Testing

@Suite struct `Micro-batches` {
    private let first = Example(
        ids: [10, 11, 12, 13], lossMask: [true, false, true, true], row: 4)
    private let second = Example(ids: [20, 21], lossMask: [true, true], row: 9)

    @Test func `targets are the next labels and never cross a border`() {
        let batch = MicroBatch([first, second])
        #expect(batch.ids == [10, 11, 12, 13, 20, 21])
        #expect(batch.positions == [0, 1, 2, 3, 0, 1])
        // Token 11 is no label, 13 ends its row, and 20 begins one.
        #expect(batch.targets == [-1, 12, 13, -1, 21, -1])
        #expect(batch.sequenceLengths == [4, 2])
        #expect(batch.rows == [4, 9])
        #expect(batch.targetCount == 3)
        #expect(batch.targetCount == first.targetCount + second.targetCount)
    }

    @Test func `a sequence of one token predicts nothing`() {
        let batch = MicroBatch([Example(ids: [7], lossMask: [true], row: 0)])
        #expect(batch.targets == [-1])
        #expect(batch.sequenceLengths == [1])
        #expect(MicroBatch([Example]()).ids.isEmpty)
    }
}
