import OslerData
import OslerFormats
import Testing

@Suite struct `Length policies` {
    /// Ten rows of 10 labels after 5 tokens of prompt, and `long` rows of 40.
    private func prepared(
        long: Int, _ change: (inout DataConfiguration) -> Void = { _ in }
    ) throws -> PreparedDataset {
        let sizes = Array(repeating: 15, count: 10) + Array(repeating: 40, count: long)
        let rows = sizes.map { size in
            row(
                ("input_ids", .array((0..<size).map { JSON.integer(100 + $0) })),
                (
                    "completion_mask",
                    .array((0..<size).map { JSON.integer($0 < size - 10 ? 0 : 1) })
                ))
        }
        return try prepare(rows) {
            $0.maxLength = 32
            change(&$0)
        }
    }

    @Test func `long rows are dropped and counted`() throws {
        let prepared = try prepared(long: 1)
        #expect(prepared.examples.map(\.row) == Array(0..<10))
        #expect(prepared.length.dropped == [10])
        #expect(prepared.length.lostTokens == 40)
        #expect(prepared.problems == [])
    }

    @Test func `more than a tenth is an error until the policy is named`() throws {
        #expect(
            try prepared(long: 2).problems.map(\.description) == [
                "rows.json: max_length: 2 of 12 rows are longer than max_length 32; raise "
                    + "max_length, or set length_policy: drop (or truncate) to accept it"
            ])
        #expect(try prepared(long: 2) { $0.lengthPolicy = .drop }.problems == [])
        // 1 of 10 is no more than a tenth.
        #expect(try prepared(long: 1) { $0.maxLength = 14 }.problems.count > 0)
    }

    @Test func `the error policy names the first row`() throws {
        let prepared = try prepared(long: 3) { $0.lengthPolicy = .error }
        #expect(prepared.examples.count == 13)
        #expect(
            prepared.problems.map(\.description) == [
                "rows.json: row 10: 3 rows are longer than max_length 32; raise max_length, or set "
                    + "length_policy to drop or truncate"
            ])
    }

    @Test func `a cut keeps the start, and rows that lose all labels go`() throws {
        let cut = try prepared(long: 2) { $0.lengthPolicy = .truncate }
        #expect(cut.examples.count == 12)
        #expect(cut.length.truncated == [10, 11])
        #expect(cut.examples[10].ids == (100..<132).map(Int32.init))
        #expect(cut.examples[10].targetCount == 2)
        let emptied = try prepared(long: 2) {
            $0.lengthPolicy = .truncate
            $0.maxLength = 30
        }
        #expect(emptied.length.emptied == [10, 11])
        #expect(emptied.examples.count == 10)
    }

    @Test func `rows without a label are listed, and a data set without any is refused`() throws {
        func tokens(_ label: Int) -> JSON.Object {
            row(
                ("input_ids", .array([1, 2].map(JSON.integer))),
                ("completion_mask", .array([.integer(0), .integer(label)])))
        }
        let some = try prepare([tokens(1), tokens(0), tokens(0)])
        #expect(some.zeroTargetRows == [1, 2])
        #expect(
            some.problems.map(\.description) == [
                "rows.json: row 1: 2 rows have no token in the loss: 1, 2; leave them out of the data"
            ])
        let none = try prepare([tokens(0)])
        #expect(
            none.problems.map(\.description) == [
                "rows.json: the train data has no token in the loss (1 rows, 1 left); raise "
                    + "max_length, or check the columns and completion_only_loss"
            ])
    }

    @Test func `packing fills units without cutting`() throws {
        let prepared = try prepared(long: 0) { $0.packing = true }
        #expect(prepared.units.map(\.count) == [2, 2, 2, 2, 2])
        let batch = prepared.microBatch([0, 1])
        #expect(batch.sequenceLengths == [15, 15, 15, 15])
        #expect(batch.rows == [0, 1, 2, 3])
        #expect(batch.targetCount == 40)
    }

    @Test func `threads don't change anything`() throws {
        let records = (try Golden.json("train-raw.json").array ?? []).compactMap(\.object)
        let one = try prepare(records) { $0.threads = 1 }
        let many = try prepare(records) { $0.threads = 7 }
        #expect(one.units == many.units)
        #expect(one.examples.map(\.row) == many.examples.map(\.row))
    }
}
