/// Where a model's blocks are kept.
package struct Placement: Sendable, Equatable {
    /// Blocks that wait in page-locked host memory and come to the device ahead of use, ascending; see `BlockStream`.
    package var streamed: [Int] = []
    /// How many blocks each device of a `DeviceGroup` computes, at least one, in the order of the blocks; the embedding is on the first
    /// device, the final norm and the head are on the last. Empty: one device does it all.
    package var shares: [Int] = []

    package init() {}

    /// So many of the blocks streamed, as far from each other as can be: what is copied hides behind what those between
    /// compute.
    package init(streaming count: Int, of blocks: Int) {
        streamed = Self.spread(count, over: 0..<blocks)
    }

    /// `count` of the numbers in `range`, evenly.
    package static func spread(_ count: Int, over range: Range<Int>) -> [Int] {
        precondition(count <= range.count)
        return (0..<count).map { range.lowerBound + (2 * $0 + 1) * range.count / (2 * count) }
    }

    /// The same with all blocks on their devices.
    package var withoutStreams: Placement {
        var placement = self
        placement.streamed = []
        return placement
    }

    package var devices: Int { max(1, shares.count) }

    /// The blocks of a device of a model with `blocks`.
    package func blocks(on device: Int, of blocks: Int) -> Range<Int> {
        if shares.isEmpty { return 0..<blocks }
        let start = shares[..<device].reduce(0, +)
        return start..<start + shares[device]
    }

    /// The device of a block; after the last one the last device.
    package func device(of block: Int) -> Int {
        var end = 0
        for (device, share) in shares.enumerated() {
            end += share
            if block < end { return device }
        }
        return max(0, shares.count - 1)
    }
}
