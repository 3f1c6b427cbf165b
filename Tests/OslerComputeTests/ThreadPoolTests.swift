import OslerCompute
import Testing

@Suite struct ThreadPoolTests {
    @Test("Every item runs once, for any number of threads", arguments: [1, 2, 3, 9])
    func everyItemOnce(threads: Int) throws {
        let pool = try ThreadPool(threads: threads)
        #expect(pool.threads == threads)
        let counts = UnsafeMutableBufferPointer<Int>.allocate(capacity: 257)
        defer { counts.deallocate() }
        counts.initialize(repeating: 0)
        for _ in 0..<100 {
            pool.run(257) { item, thread in
                precondition(thread >= 0 && thread < threads)
                counts[item] += 1
            }
        }
        #expect(counts.allSatisfy { $0 == 100 })
    }

    @Test("A region inside an item runs on that item's thread", arguments: [1, 2, 5])
    func nested(threads: Int) throws {
        let pool = try ThreadPool(threads: threads)
        let sums = UnsafeMutableBufferPointer<Int>.allocate(capacity: 40)
        defer { sums.deallocate() }
        sums.initialize(repeating: 0)
        pool.run(40) { item, thread in
            pool.run(10) { inner, innerThread in
                precondition(innerThread == thread)
                sums[item] += inner
            }
        }
        #expect(sums.allSatisfy { $0 == 45 })
    }

    @Test("Pieces cover the range in order of their index")
    func pieces() throws {
        let pool = try ThreadPool(threads: 2)
        let marks = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 1001)
        defer { marks.deallocate() }
        marks.initialize(repeating: 0)
        pool.runPieces(of: 1001, grain: 64) { range, _ in
            precondition(range.lowerBound % 64 == 0 && range.count <= 64)
            for i in range { marks[i] += 1 }
        }
        #expect(marks.allSatisfy { $0 == 1 })
        pool.runPieces(of: 0, grain: 64) { _, _ in
            preconditionFailure("an empty range has no pieces")
        }
    }

    @Test("A wrong number of threads is an error, not a crash", arguments: [0, -1, 5000])
    func wrongCount(threads: Int) {
        #expect(throws: CPUBackendError.self) { try ThreadPool(threads: threads) }
    }
}
