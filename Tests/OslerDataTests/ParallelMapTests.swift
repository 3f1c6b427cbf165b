import OslerData
import OslerFormats
import Testing

@Suite struct `Parallel map` {
    @Test(arguments: [1, 2, 3, 8, 100]) func `order does not depend on threads`(
        threads: Int
    ) throws {
        #expect(
            try parallelMap(count: 37, threads: threads) { $0 * $0 } == (0..<37).map { $0 * $0 })
        #expect(try parallelMap(count: 0, threads: threads) { $0 }.isEmpty)
    }

    @Test(arguments: [1, 2, 5]) func `the error of the lowest index is thrown`(threads: Int) {
        let line = errorLine {
            _ = try parallelMap(count: 20, threads: threads) { index in
                if index % 7 == 6 { throw InputError("bad \(index)") }
                return index
            }
        }
        #expect(line == "bad 6")
    }
}
