package import OslerCompute

/// Blocks of a device whose weights don't fit on it: they wait in host memory, packed, and take turns in two slots on it. The
/// k-th of them goes through slot k mod 2, so one is filled while the other one's block computes.
package final class BlockStream {
    /// Which way a pass goes through the blocks: backward, and what is computed again for it, goes down.
    package enum Direction { case up, down }

    private let numbers: [Int]
    private let memories: [Storage]
    private let slots: [any StreamSlot]
    /// Which of `numbers` each slot holds, or is being filled with.
    private var held: [Int?]
    /// Copies of a block so far.
    package private(set) var fetches = 0

    /// One for each device that has blocks to stream.
    ///
    /// - Parameter blocks: the streamed ones are packed, and afterwards in their slots.
    /// - Throws: when a device hasn't memory for the slots.
    static func make(
        _ placement: Placement, _ blocks: inout [DecoderBlock], backend: any Backend
    ) throws -> [BlockStream] {
        var streams: [BlockStream] = []
        for device in 0..<placement.devices {
            let own = placement.blocks(on: device, of: blocks.count)
            let numbers = placement.streamed.filter(own.contains)
            if numbers.isEmpty { continue }
            try backend.on(device) {
                streams.append(try BlockStream(numbers, of: &blocks, backend: backend))
            }
        }
        return streams
    }

    private init(_ numbers: [Int], of blocks: inout [DecoderBlock], backend: any Backend) throws {
        let memories = numbers.map { blocks[$0].attentionNorm.storage }
        let largest = memories.map(\.byteCount).max() ?? 0
        let slots = try numbers.prefix(2).map { _ in try backend.makeSlot(byteCount: largest) }
        (self.numbers, self.memories, self.slots) = (numbers, memories, slots)
        held = slots.map { _ in nil }
        for (turn, number) in numbers.enumerated() {
            blocks[number] = blocks[number].moved(to: slots[turn % slots.count].storage)
        }
    }

    /// Bytes that the slots of such blocks take.
    package static func slotBytes(_ blocks: [DecoderBlock]) -> Int {
        (blocks.map(\.packedByteCount).max() ?? 0) * min(2, blocks.count)
    }

    /// Called before the work of a block is queued, when that of those before it is: has the next two blocks of the stream
    /// fetched, and has the work wait for this one where it is among them.
    func enter(_ block: Int, _ direction: Direction) {
        let next = upcoming(block, direction)
        for turn in next where held[turn % slots.count] != turn {
            slots[turn % slots.count].fill(from: memories[turn])
            held[turn % slots.count] = turn
            fetches += 1
        }
        if let turn = next.first, numbers[turn] == block { slots[turn % slots.count].awaitFill() }
    }

    /// Places in `numbers` of the first two from `block` on.
    private func upcoming(_ block: Int, _ direction: Direction) -> [Int] {
        switch direction {
        case .up: return numbers.indices.filter { numbers[$0] >= block }.prefix(2).map { $0 }
        case .down:
            return numbers.indices.reversed().filter { numbers[$0] <= block }.prefix(2).map { $0 }
        }
    }
}
