import OslerData
import OslerFormats
import Testing

@Suite struct `Packing` {
    @Test func `packs are the ones that TRL makes`() throws {
        let cases = try Golden.json("packing.json").array ?? []
        #expect(cases.count == 6)
        for value in cases {
            let strategy = try #require(
                PackingStrategy(rawValue: value["strategy"]?.string ?? ""))
            let packs = pack(
                lengths: try #require(value["lengths"]?.integers),
                maxLength: try #require(value["seq_length"]?.integer), strategy: strategy,
                chunk: 1000)
            let expected = try #require(value["packed"]?.array)
            #expect(packs.count == expected.count)
            for (pieces, pack) in zip(packs, expected) {
                // Row i holds the ids 1000 i, 1000 i + 1, ...
                let ids = pieces.flatMap { piece in piece.range.map { 1000 * piece.row + $0 } }
                #expect(ids == pack["input_ids"]?.integers)
                guard strategy != .wrapped else { continue }
                #expect(pieces.map(\.range.count) == pack["seq_lengths"]?.integers)
            }
        }
    }

    /// With room for all there is one pack, and memory only for what is there.
    @Test(arguments: PackingStrategy.allCases, [60, Int(Int32.max)])
    func `a pack takes all rows where they fit`(strategy: PackingStrategy, length: Int) {
        let packs = pack(lengths: [10, 20, 30], maxLength: length, strategy: strategy)
        #expect(packs.map { $0.map(\.range.count).reduce(0, +) } == [60])
    }

    @Test(arguments: [PackingStrategy.bestFitDecreasing, .bestFitDecreasingSplit])
    func `every 1000 rows are packed on their own`(strategy: PackingStrategy) throws {
        // 1100 rows of 0 to 90 tokens, many of the same length; pieces as row, first token, tokens.
        let value = try Golden.json("packing-batches.json")
        let packs = pack(
            lengths: try #require(value["lengths"]?.integers),
            maxLength: try #require(value["seq_length"]?.integer), strategy: strategy, chunk: 1000)
        let expected = try #require(value[strategy.rawValue]?.array)
        #expect(packs.count == expected.count)
        for (pieces, pack) in zip(packs, expected) {
            let found = pieces.map { [$0.row, $0.range.lowerBound, $0.range.count] }
            #expect(found == pack.array?.map(\.integers))
        }
    }

    @Test func `rows are packed a chunk at a time`() {
        let lengths = [3, 1, 3, 1]
        #expect(pack(lengths: lengths, maxLength: 4).map { $0.map(\.row) } == [[0, 1], [2, 3]])
        let single = pack(lengths: lengths, maxLength: 4, chunk: 1)
        #expect(single.map { $0.map(\.row) } == [[0], [1], [2], [3]])
    }

    @Test func `packing keeps every token of rows that fit`() {
        var state: UInt64 = 1
        let lengths = (0..<500).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % 128
        }
        let packs = pack(lengths: lengths, maxLength: 128)
        #expect(packs.allSatisfy { $0.reduce(0) { $0 + $1.range.count } <= 128 })
        var seen = Array(repeating: 0, count: lengths.count)
        for piece in packs.joined() { seen[piece.row] += piece.range.count }
        #expect(seen == lengths)
        let floor = (lengths.reduce(0, +) + 127) / 128
        #expect(packs.count <= floor + floor / 10)
    }
}
