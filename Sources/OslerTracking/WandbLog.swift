internal import OslerFormats

/// The record log of a wandb run, `run-ID.wandb`: a header of 7 bytes, then LevelDB's log format with plain CRC-32. Blocks
/// have 32 KiB; a piece has checksum, length and kind before it and never crosses a block; a rest too short for that is
/// zeros.
package enum WandbLog {
    static let blockSize = 1 << 15
    static let pieceHeaderSize = 7
    /// `:W&B`, a magic number, version 0.
    static let header: [UInt8] = Array(":W&B".utf8) + [0xE1, 0xBE, 0]

    enum Piece: UInt8 {
        case full = 1
        case first, middle, last
    }

    /// The checksum covers the kind, too.
    static func checksum(_ kind: UInt8, _ data: ArraySlice<UInt8>) -> UInt32 {
        CyclicRedundancy.ethernet(CollectionOfOne(kind) + Array(data))
    }
}

final class WandbLogWriter {
    private let file: GrowingFile
    /// Bytes of the block that are taken.
    private var used: Int

    init(_ path: String) throws {
        file = try GrowingFile(path)
        try file.append(WandbLog.header)
        used = WandbLog.header.count
    }

    /// Appends a record, in one call to the system.
    func append(_ record: [UInt8]) throws {
        var output: [UInt8] = []
        var rest = record[...]
        var isFirst = true
        repeat {
            if WandbLog.blockSize - used < WandbLog.pieceHeaderSize {
                output += repeatElement(0, count: WandbLog.blockSize - used)
                used = 0
            }
            let data = rest.prefix(WandbLog.blockSize - used - WandbLog.pieceHeaderSize)
            rest = rest.dropFirst(data.count)
            let kind: WandbLog.Piece =
                switch (isFirst, rest.isEmpty) {
                case (true, true): .full
                case (true, false): .first
                case (false, false): .middle
                case (false, true): .last
                }
            let checksum = WandbLog.checksum(kind.rawValue, data)
            withUnsafeBytes(of: checksum.littleEndian) { output += $0 }
            withUnsafeBytes(of: UInt16(data.count).littleEndian) { output += $0 }
            output.append(kind.rawValue)
            output += data
            used = (used + WandbLog.pieceHeaderSize + data.count) % WandbLog.blockSize
            isFirst = false
        } while !rest.isEmpty
        try file.append(output)
    }

    func flush() { file.flush() }
}

extension WandbLog {
    /// The records of a log, up to the first one that is damaged or cut off.
    package static func records(_ bytes: [UInt8]) -> [[UInt8]] {
        guard bytes.starts(with: header) else { return [] }
        var records: [[UInt8]] = []
        var place = header.count
        var record: [UInt8] = []
        while place < bytes.count {
            let left = blockSize - place % blockSize
            if left < pieceHeaderSize {
                place += left
                continue
            }
            guard place + pieceHeaderSize <= bytes.count else { break }
            let count: UInt16 = bytes[place + 4..<place + 6].littleEndian()
            let start = place + pieceHeaderSize
            guard let piece = Piece(rawValue: bytes[place + 6]), start + Int(count) <= bytes.count
            else { break }
            let data = bytes[start..<start + Int(count)]
            guard bytes[place..<place + 4].littleEndian() == checksum(piece.rawValue, data) else {
                break
            }
            record = piece == .full || piece == .first ? Array(data) : record + data
            if piece == .full || piece == .last { records.append(record) }
            place = start + Int(count)
        }
        return records
    }
}
