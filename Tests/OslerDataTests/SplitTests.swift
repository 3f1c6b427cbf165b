import OslerData
import OslerFormats
import OslerTestSupport
import Testing

@Suite struct `Splits and orders` {
    @Test func `train_test_split picks the rows that datasets picks`() throws {
        let cases = try Golden.json("train_test_split.json").array ?? []
        #expect(cases.count == 55)
        for value in cases {
            let count = try #require(value["n"]?.integer)
            let seed = UInt64(try #require(value["seed"]?.integer))
            let first = try trainTestSplit(
                count: count, testSize: try size(value["test_size_1"]), seed: seed)
            #expect(first.train == value["train"]?.integers)
            #expect(first.test == value["test"]?.integers)
            if value["second_split_error"] != nil {
                #expect(throws: InputError.self) {
                    try trainTestSplit(
                        count: first.test.count, testSize: .fraction(0.5), seed: seed)
                }
                continue
            }
            let second = try trainTestSplit(
                count: first.test.count, testSize: try size(value["test_size_2"]), seed: seed)
            // The golden file gives indices into the whole data set or into the first test part.
            let val = try #require(value["val"]?.integers)
            let isWhole = val == second.train.map { first.test[$0] }
            #expect(isWhole || val == second.train, "n \(count) seed \(seed)")
            let test = try #require(value["test2"]?.integers)
            #expect(test == (isWhole ? second.test.map { first.test[$0] } : second.test))
        }
    }

    @Test func `the standard recipe splits 19704 rows as datasets does`() throws {
        let value = try Golden.json("train_test_split_19704.json.gz")
        let split = try SplitRecipe.standard.split(count: 19704)
        #expect(split.train == value["train"]?.integers)
        #expect(split.eval == value["val"]?.integers)
        #expect(split.test == value["test2"]?.integers)
    }

    @Test func `without shuffling the test part is the end`() throws {
        for value in try Golden.read(Fixtures.path("splits/shuffle.json")).array ?? [] {
            let count = try #require(value["n"]?.integer)
            guard let train = value["no_shuffle_train"]?.integers else { continue }
            let split = try trainTestSplit(
                count: count, testSize: .fraction(0.2), seed: 0, shuffle: false)
            #expect(split.train == train)
            #expect(split.test == value["no_shuffle_test"]?.integers)
        }
    }

    @Test(arguments: [
        (0.7, 0.2, 0.1, [7, 2, 1]), (0.9, 0.1, 0, [9, 1, 0]), (1, 0, 0, [10, 0, 0]),
    ])
    func `a recipe's shares become rows`(
        train: Double, eval: Double, test: Double, counts: [Int]
    ) throws {
        let split = try SplitRecipe(train: train, eval: eval, test: test, seed: 1).split(count: 10)
        #expect([split.train.count, split.eval.count, split.test.count] == counts)
        #expect((split.train + split.eval + split.test).sorted() == Array(0..<10))
    }

    @Test func `sizes that leave nothing are refused`() {
        for size in [TestSize.fraction(0), .fraction(1), .count(0), .count(10)] {
            #expect(throws: InputError.self) {
                try trainTestSplit(count: 10, testSize: size, seed: 0)
            }
        }
        #expect(
            errorLine { _ = try trainTestSplit(count: 1, testSize: .fraction(0.5), seed: 0) }
                == "test_size: 1 rows split with 1 for the test leave none to train on; "
                + "use more rows or a smaller test part")
        #expect(throws: InputError.self) {
            try SplitRecipe(train: 0.5, eval: 0.1, test: 0.1, seed: 0).split(count: 10)
        }
    }

    @Test func `each epoch has the Trainer's order`() throws {
        for value in try Golden.json("trainer_epoch_order.json").array ?? [] {
            let count = try #require(value["n"]?.integer)
            let seed = UInt64(
                try #require(value["data_seed"]?.integer ?? value["seed"]?.integer))
            for (epoch, order) in (value["epochs"]?.array ?? []).enumerated() {
                #expect(epochOrder(count: count, epoch: epoch, seed: seed) == order.integers)
            }
        }
        #expect(epochOrder(count: 3, epoch: 5, seed: 1, strategy: .sequential) == [0, 1, 2])
    }

    @Test func `micro-batches are slices of the order`() {
        #expect(microBatchSlices([4, 2, 0, 1, 3], size: 2) == [[4, 2], [0, 1], [3]])
        #expect(microBatchSlices([], size: 2).isEmpty)
    }

    private func size(_ value: JSON?) throws -> TestSize {
        if case .integer(let count)? = value { return .count(count) }
        return .fraction(try #require(value?.double))
    }
}
