internal import OslerCompute

/// The work of attention's blocks, on the card: a tile of 64 rows or keys of a sequence each.
struct AttentionTiles {
    enum Kind { case rows, keys }
    let table: SequenceTable
    let group: Int
    let kind: Kind
    /// int32 `[count, 8]`, `AttentionItem` in prelude.cuh; its memory may be larger.
    let items: Tensor
    let count: Int

    static let tile = 64

    /// The heaviest first: a light tile at the end keeps no processor waiting for long.
    static func numbers(_ table: SequenceTable, group: Int, of kind: Kind) -> [Int32] {
        var items: [(work: Int, numbers: [Int])] = []
        for entry in table.entries where entry.queryCount > 0 {
            let (queries, keys) = (entry.queryCount, entry.keyCount)
            let end = kind == .rows ? queries * group : keys
            for start in stride(from: 0, to: end, by: tile) {
                let last = min(start + tile, end) - 1
                let work =
                    kind == .rows
                    ? keys - queries + last / group + 1 : queries - max(0, start - keys + queries)
                items.append(
                    (work, [entry.queryOffset, queries, entry.keyOffset, keys, start, 0, 0, 0]))
            }
        }
        // By place where the work is the same: `sort` doesn't promise to keep the order.
        let order = items.indices.sorted { (items[$1].work, $0) < (items[$0].work, $1) }
        return order.flatMap { items[$0].numbers.map(Int32.init) }
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
        let numbers = AttentionTiles.numbers(table, group: group, of: kind)
        var memory: Tensor?
        // The oldest one's memory: kernels that read it were queued before the upload is. Decoding
        // makes a table a token.
        if keptTiles.count >= Self.keptTables {
            let oldest = keptTiles.removeFirst().items
            if oldest.count >= numbers.count { memory = oldest }
        }
        let room = max(32, numbers.count)
        guard let items = memory ?? newTensor(.int32, [room]) else { return nil }
        let written = Tensor(storage: items.storage, dtype: .int32, shape: [numbers.count])
        numbers.withUnsafeBytes { write($0, to: written) }
        let result = AttentionTiles(
            table: table, group: group, kind: kind, items: items, count: numbers.count / 8)
        keptTiles.append(result)
        return result
    }
}
