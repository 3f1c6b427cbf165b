internal import OslerFormats

/// How much of a data set the test part takes.
package enum TestSize: Sendable, Equatable {
    /// Share of the rows, between 0 and 1; the number of rows is rounded up.
    case fraction(Double)
    case count(Int)
}

/// Row indices of the two parts of a split.
package struct TrainTestSplit: Sendable, Equatable {
    package var train: [Int]
    package var test: [Int]
}

/// Splits `count` rows as `datasets.Dataset.train_test_split(test_size, seed)` does, to the index:
/// the first rows of NumPy's `default_rng(seed).permutation(count)` are the test part, the others
/// the train part. Without `shuffle` the test part is the end of the rows in their order.
///
/// - Throws: `InputError` where `datasets` refuses: a size outside of the rows, or an empty train
///   part.
package func trainTestSplit(
    count: Int, testSize: TestSize, seed: UInt64, shuffle: Bool = true
) throws -> TrainTestSplit {
    let testCount: Int
    switch testSize {
    case .fraction(let share):
        guard share > 0, share < 1 else {
            throw InputError(
                "a test share of \(share) is not between 0 and 1", field: "test_size",
                remedy: "give a share such as 0.2, or a number of rows")
        }
        testCount = Int((share * Double(count)).rounded(.up))
    case .count(let rows):
        guard rows > 0, rows < count else {
            throw InputError(
                "\(rows) test rows of \(count) rows in all", field: "test_size",
                remedy: "give at least 1 and fewer than \(count)")
        }
        testCount = rows
    }
    guard testCount < count else {
        throw InputError(
            "\(count) rows split with \(testCount) for the test leave none to train on",
            field: "test_size", remedy: "use more rows or a smaller test part")
    }
    if shuffle {
        var generator = NumPyGenerator(seed: seed)
        let order = generator.permutation(count)
        return TrainTestSplit(
            train: Array(order[testCount...]), test: Array(order[..<testCount]))
    }
    let trainCount = count - testCount
    return TrainTestSplit(train: Array(0..<trainCount), test: Array(trainCount..<count))
}

/// The rows to train on, to evaluate on while training, and to keep for the end.
package struct DataSplit: Sendable, Equatable {
    package var train: [Int]
    package var eval: [Int]
    package var test: [Int]

    package init(train: [Int], eval: [Int], test: [Int]) {
        (self.train, self.eval, self.test) = (train, eval, test)
    }
}

/// Shares of the rows for training, evaluation and test, split as people do it with `datasets`: the
/// train part from the rest, then the rest in two, with the same seed. 80/10/10 is `test_size=0.2`
/// and then `test_size=0.5`.
package struct SplitRecipe: Sendable, Equatable {
    package var train: Double
    package var eval: Double
    package var test: Double
    package var seed: UInt64

    /// The flagship recipe: 80/10/10 with seed 816.
    package static let standard = SplitRecipe(train: 0.8, eval: 0.1, test: 0.1, seed: 816)

    package init(train: Double, eval: Double, test: Double, seed: UInt64) {
        (self.train, self.eval, self.test, self.seed) = (train, eval, test, seed)
    }

    /// - Throws: `InputError` when the shares are no shares, or a part would be empty.
    package func split(count: Int) throws -> DataSplit {
        let shares = [train, eval, test]
        guard train > 0, shares.allSatisfy({ $0 >= 0 }), abs(train + eval + test - 1) < 1e-6 else {
            throw InputError(
                "the shares \(train), \(eval), \(test) don't sum to 1", field: "split",
                remedy: "for example 0.8, 0.1, 0.1")
        }
        guard eval + test > 0 else {
            return DataSplit(train: Array(0..<count), eval: [], test: [])
        }
        let first = try trainTestSplit(
            count: count, testSize: .fraction(decimal(eval + test)), seed: seed)
        if test == 0 { return DataSplit(train: first.train, eval: first.test, test: []) }
        if eval == 0 { return DataSplit(train: first.train, eval: [], test: first.test) }
        let second = try trainTestSplit(
            count: first.test.count, testSize: .fraction(decimal(test / (eval + test))), seed: seed)
        return DataSplit(
            train: first.train, eval: second.train.map { first.test[$0] },
            test: second.test.map { first.test[$0] })
    }

    /// 0.2 + 0.1 is meant to be 0.3, and not the next number above it, which would round a count
    /// up.
    private func decimal(_ value: Double) -> Double { (value * 1e12).rounded() / 1e12 }
}
