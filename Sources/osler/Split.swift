internal import ArgumentParser
internal import OslerData
internal import OslerFormats

struct Split: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Says which rows the two parts of a data set get, as datasets.train_test_split does.",
        discussion: """
            Writes {"train": [...], "test": [...]}, row numbers from 0 in the order of each part.

            osler split --n 1000 --test-size 0.2 --seed 816
            osler split --n 1000 --test-size 50 --seed 816
            """)

    @Option(help: "Number of rows.")
    var n: Int

    @Option(help: "Rows of the test part: a share such as 0.2, or a number of rows.")
    var testSize: TestSizeArgument

    @Option(help: "Seed of the permutation.")
    var seed: UInt64

    func validate() throws {
        // A permutation takes 16 bytes a row.
        let most = 1 << 28
        guard n >= 1, n <= most else {
            throw ValidationError("--n is \(n), give a number of rows from 1 to \(most)")
        }
    }

    func run() throws {
        let split = try trainTestSplit(count: n, testSize: testSize.size, seed: seed)
        try Output.run { output in
            func write(_ rows: [Int]) throws {
                try output.write("[")
                for (index, row) in rows.enumerated() {
                    try output.write(index == 0 ? "\(row)" : ", \(row)")
                }
                try output.write("]")
            }
            try output.write("{\"train\": ")
            try write(split.train)
            try output.write(", \"test\": ")
            try write(split.test)
            try output.line("}")
        }
    }
}

/// As in Python, `2` is a number of rows and `0.2` a share.
struct TestSizeArgument: ExpressibleByArgument {
    let size: TestSize

    init?(argument: String) {
        if let count = Int(argument) {
            size = .count(count)
        } else if let share = Double(argument) {
            size = .fraction(share)
        } else {
            return nil
        }
    }
}
