internal import OslerCompute

/// The work of attention's blocks, on the card: a tile of 64 rows or keys of a sequence each.
struct AttentionTiles {
    enum Kind: Equatable {
        case rows, keys
        /// As `rows`, but keys of sequences with few rows are cut into parts: see `attention.cu`.
        case forward
    }
    let table: SequenceTable
    let group: Int
    let kind: Kind
    /// int32 `[count, 8]`, `AttentionItem` in prelude.cuh, then `[mergeCount, 8]` for
    /// `osler_attention_merge`; the memory may be larger.
    let items: Tensor
    let count: Int
    let mergeCount: Int
    /// The most rows of a tile whose keys are cut.
    let partRows: Int

    /// Of rows and of keys.
    static let tile = 64
    /// Tiles of keys that are worth a block of their own.
    static let leastPart = 4

    var merges: Tensor {
        Tensor(
            storage: items.storage, byteOffset: 32 * count, dtype: .int32, shape: [mergeCount, 8])
    }

    /// The heaviest first: a light tile at the end keeps no processor waiting for long.
    static func numbers(_ table: SequenceTable, group: Int, of kind: Kind) -> (
        items: [Int32], merges: [Int32], partRows: Int
    ) {
        var tiles: [(work: Int, numbers: [Int])] = []
        for entry in table.entries where entry.queryCount > 0 {
            let (queries, keys) = (entry.queryCount, entry.keyCount)
            let end = kind == .keys ? keys : queries * group
            for start in stride(from: 0, to: end, by: tile) {
                let last = min(start + tile, end) - 1
                let work =
                    kind == .keys
                    ? queries - max(0, start - keys + queries) : keys - queries + last / group + 1
                tiles.append((work, [entry.queryOffset, queries, entry.keyOffset, keys, start]))
            }
        }
        // By place where the work is the same: `sort` doesn't promise to keep the order.
        let order = tiles.indices.sorted { (tiles[$1].work, $0) < (tiles[$0].work, $1) }
        var (items, merges, slot, partRows) = ([Int](), [Int](), 0, 0)
        for one in order.map({ tiles[$0] }) {
            let (queries, start) = (one.numbers[1], one.numbers[4])
            let keyTiles = (one.work + tile - 1) / tile
            let isCut = kind == .forward && queries <= fewRows && keyTiles >= 2 * leastPart
            guard isCut else {
                items += one.numbers + [0, 1 << 30, -1]
                continue
            }
            let parts = keyTiles / leastPart
            partRows = max(partRows, min(tile, queries * group - start))
            merges += one.numbers + [slot, parts, 0]
            for part in 0..<parts {
                let range = [keyTiles * part / parts, keyTiles * (part + 1) / parts]
                items += one.numbers + range + [slot]
                slot += 1
            }
        }
        return (items.map(Int32.init), merges.map(Int32.init), partRows)
    }
}

extension CUDABackend {
    /// Tables that are kept: those of a step's micro-batch and of an evaluation beside it.
    private static let keptTables = 8

    /// Uploaded when it is none of the last ones; nil after a failure.
    func attentionTiles(
        _ table: SequenceTable, group: Int, of kind: AttentionTiles.Kind
    ) -> AttentionTiles? {
        let known = keptTiles.firstIndex {
            $0.kind == kind && $0.group == group && $0.table == table
        }
        if let known {
            let found = keptTiles.remove(at: known)
            keptTiles.append(found)
            return found
        }
        let (items, merges, partRows) = AttentionTiles.numbers(table, group: group, of: kind)
        let numbers = items + merges
        var memory: Tensor?
        // The oldest one's memory: kernels that read it were queued before the upload is. Decoding
        // makes a table a token.
        if keptTiles.count >= Self.keptTables {
            let oldest = keptTiles.removeFirst().items
            if oldest.count >= numbers.count { memory = oldest }
        }
        // A power of two: after some micro-batches each of these has room for any table, and none is
        // freed any more, which waits for the card.
        var room = 1024
        while room < numbers.count { room *= 2 }
        guard let whole = memory ?? newTensor(.int32, [room]) else { return nil }
        let written = Tensor(storage: whole.storage, dtype: .int32, shape: [numbers.count])
        numbers.withUnsafeBytes { write($0, to: written) }
        let result = AttentionTiles(
            table: table, group: group, kind: kind, items: whole, count: items.count / 8,
            mergeCount: merges.count / 8, partRows: partRows)
        keptTiles.append(result)
        return result
    }
}
