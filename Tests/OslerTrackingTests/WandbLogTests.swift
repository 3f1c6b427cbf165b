import OslerFormats
import OslerTestSupport
import Testing

@testable import OslerTracking

@Suite struct WandbLogTests {
    /// A run that the real client wrote: `Tests/Fixtures/wandb/make.py`.
    private static func real() throws -> [UInt8] {
        try MappedFile(Fixtures.path("wandb/run.wandb.gz")).withBytes { try Gzip.decompress($0) }
    }

    @Test func `checksums have their published values`() {
        let digits = Array("123456789".utf8)
        #expect(CyclicRedundancy.ethernet(digits) == 0xCBF4_3926)
        #expect(CyclicRedundancy.castagnoli(digits) == 0xE306_9283)
    }

    @Test func `the client's records, written again, are the client's file`() throws {
        let real = try Self.real()
        let records = WandbLog.records(real)
        #expect(records.count > 80 && real.count > 5 * WandbLog.blockSize)
        let folder = try TemporaryFolder()
        let writer = try WandbLogWriter(folder.path + "/run.wandb")
        for record in records { try writer.append(record) }
        #expect(try FileSystem.read(folder.path + "/run.wandb") == real)
    }

    @Test func `the client's history is read`() throws {
        let place = try TemporaryFolder()
        let folder = place.path + "/offline-run-20260101_000000-real0001"
        try FileSystem.createDirectories(folder)
        try AtomicFile.write(Self.real(), to: folder + "/run-real0001.wandb")
        let rows = try #require(
            try JSON.parse(file: Fixtures.path("wandb/rows.json"))["rows"]?.array)
        let progress = try WandbProgress(runID: "real0001", in: place.path)
        #expect(progress.rows == rows.count)
        #expect(progress.holds(["loss": 1], step: rows.count))
        #expect(!progress.holds(["loss": 1], step: rows.count + 1))
        #expect(!progress.holds(["eval_loss": 1], step: 1))
        #expect(try WandbProgress(runID: "other", in: place.path).rows == 0)
    }

    /// Sizes around the end of a block, where a header does or doesn't fit.
    @Test func `records of every size come back`() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/run.wandb"
        let sizes =
            (0...20).map { WandbLog.blockSize - 7 - 7 - $0 } + [0, 1, 7, 70_000] + Array(0...9)
        var records: [[UInt8]] = []
        for (place, size) in sizes.enumerated() {
            records.append([UInt8](repeating: UInt8(place), count: size))
            records.append([UInt8](repeating: 255, count: place % 8))
        }
        let writer = try WandbLogWriter(path)
        for (count, record) in records.enumerated() {
            try writer.append(record)
            // Nothing waits in memory.
            if count % 10 == 0 {
                #expect(WandbLog.records(try FileSystem.read(path)).count == count + 1)
            }
        }
        #expect(WandbLog.records(try FileSystem.read(path)) == records)
    }

    /// LevelDB's rule: room for a header alone takes an empty first piece, less is filled with zeros.
    @Test(arguments: 0...9)
    func `a block's last bytes are used as LevelDB does`(left: Int) throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/run.wandb"
        let first = [UInt8](repeating: 1, count: WandbLog.blockSize - 7 - 7 - left)
        let writer = try WandbLogWriter(path)
        try writer.append(first)
        try writer.append([2, 3, 4])
        let bytes = try FileSystem.read(path)
        let rest = bytes[(WandbLog.blockSize - left)..<WandbLog.blockSize]
        if left < 7 {
            #expect(rest.allSatisfy { $0 == 0 })
        } else {
            let piece = WandbLog.Piece.first.rawValue
            #expect(rest.dropFirst(4).prefix(3) == [UInt8(left - 7), 0, piece])
        }
        #expect(WandbLog.records(bytes) == [first, [2, 3, 4]])
    }

    @Test func `what stands before damage is kept`() throws {
        let real = try Self.real()
        let whole = WandbLog.records(real)
        for cut in [0, 3, 6, 7, 100, WandbLog.blockSize + 3, real.count - 1] {
            let records = WandbLog.records(Array(real.prefix(cut)))
            #expect(records.count < whole.count)
            #expect(Array(whole.prefix(records.count)) == records)
        }
        for place in stride(from: 7, to: real.count, by: 4999) {
            var damaged = real
            damaged[place] ^= 0x40
            let records = WandbLog.records(damaged)
            #expect(records.count < whole.count && Array(whole.prefix(records.count)) == records)
        }
    }
}
