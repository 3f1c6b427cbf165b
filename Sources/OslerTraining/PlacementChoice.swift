package import OslerModels

/// Finds the plan that fits into the devices' budgets at the least cost. Blocks' values are computed again before a second
/// device is taken, that before a block is streamed, and no more of anything than must be.
package struct PlacementChoice {
    private let blocks: Int
    /// nil: free to choose.
    private let checkpointing: Checkpointing?
    private let devices: [PlannedDevice]
    private let plan: (Checkpointing, Placement) throws -> MemoryPlan

    /// - Parameter plan: makes the plan of a choice.
    package init(
        blocks: Int, checkpointing: Checkpointing?, on devices: [PlannedDevice],
        _ plan: @escaping (Checkpointing, Placement) throws -> MemoryPlan
    ) {
        (self.blocks, self.checkpointing) = (blocks, checkpointing)
        (self.devices, self.plan) = (devices, plan)
    }

    /// Where even streaming everything isn't enough, that plan, which doesn't fit.
    package func best() throws -> MemoryPlan {
        let alone = try leastRecomputed(Placement())
        if fits(alone) || !devices[0].mayStream { return alone }
        for count in stride(from: 2, through: min(devices.count, blocks), by: 1) {
            guard let placement = try filled(count) else { continue }
            let plan = try leastRecomputed(placement)
            if fits(plan) { return plan }
        }
        return try leastStreamed()
    }

    private func fits(_ plan: MemoryPlan) -> Bool {
        plan.shares.indices.allSatisfy { fits(plan, on: $0) }
    }

    private func fits(_ plan: MemoryPlan, on device: Int) -> Bool {
        devices[device].budget.map { plan.shares[device].total <= $0 } ?? true
    }

    /// What is computed again where memory is short.
    private var mostRecomputed: Checkpointing { checkpointing ?? .block }

    /// As many blocks' values kept for backward as fit; none where even that is too much, or no budget is known.
    private func leastRecomputed(_ placement: Placement) throws -> MemoryPlan {
        if checkpointing != nil || devices[0].budget == nil {
            return try plan(mostRecomputed, placement)
        }
        let kept = try last(0..<blocks + 1) { fits(try plan(.keeping($0), placement)) }
        return try plan(.keeping(kept), placement)
    }

    /// The blocks over the first `count` devices, each but the last one as full as it may be; nil where one has no room for
    /// a single block.
    private func filled(_ count: Int) throws -> Placement? {
        var placement = Placement()
        var left = blocks
        for device in 0..<count - 1 {
            let most = left - (count - 1 - device)
            let done = placement.shares
            func isRoom(for share: Int) throws -> Bool {
                placement.shares = done + [share, left - share]
                return fits(try plan(mostRecomputed, placement), on: device)
            }
            guard try isRoom(for: 1) else { return nil }
            let share = try last(1..<most + 1, isRoom)
            placement.shares = done + [share]
            left -= share
        }
        placement.shares.append(left)
        return placement
    }

    /// On every device as few streamed blocks as fit; all of them where even that is too much.
    private func leastStreamed() throws -> MemoryPlan {
        var placement = Placement()
        if devices.count > 1 { placement.shares = sharesByBudget }
        var streamed: [Int] = []
        for device in 0..<placement.devices {
            let own = placement.blocks(on: device, of: blocks)
            // Two alone would have slots as large as themselves.
            let counts = own.count < 3 ? [0] : [0] + Array(3...own.count)
            func fails(_ index: Int) throws -> Bool {
                var trial = placement
                trial.streamed = Placement.spread(counts[index], over: own)
                return !fits(try plan(mostRecomputed, trial), on: device)
            }
            let enough = try fails(0) ? last(0..<counts.count, fails) + 1 : 0
            streamed += Placement.spread(counts[min(enough, counts.count - 1)], over: own)
        }
        placement.streamed = streamed
        return try plan(mostRecomputed, placement)
    }

    /// The blocks over all devices, in proportion to what each may give.
    private var sharesByBudget: [Int] {
        let budgets = devices.prefix(blocks).map { Double($0.budget ?? 1) }
        let all = budgets.reduce(0, +)
        var (shares, before, placed) = ([Int](), 0.0, 0)
        for (device, budget) in budgets.enumerated() {
            before += budget
            let after = budgets.count - 1 - device
            let end = after == 0 ? blocks : Int((before / all * Double(blocks)).rounded())
            let share = max(1, min(end - placed, blocks - placed - after))
            shares.append(share)
            placed += share
        }
        return shares
    }

    /// The last number for which `holds` is true, when it is so up to some number and no further. The first one is not
    /// asked for.
    private func last(_ range: Range<Int>, _ holds: (Int) throws -> Bool) rethrows -> Int {
        var range = range
        while range.count > 1 {
            let middle = range.lowerBound + range.count / 2
            range =
                try holds(middle)
                ? middle..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }
}
