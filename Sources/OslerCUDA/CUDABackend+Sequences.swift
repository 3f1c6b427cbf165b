internal import OslerCompute

/// A sequence table on the card.
struct DeviceSequences {
    let table: SequenceTable
    /// int32 `[sequences, 4]`: queryOffset, queryCount, keyOffset, keyCount.
    let rows: Tensor
    let largestQueryCount: Int
    let largestKeyCount: Int
    var count: Int { table.entries.count }
}

extension CUDABackend {
    /// Tables that are kept: those of a step's micro-batch and of an evaluation beside it.
    private static let keptTables = 8

    /// The table on the card, uploaded when it is none of the last ones; nil after a failure.
    func device(_ table: SequenceTable) -> DeviceSequences? {
        if let index = uploadedSequences.firstIndex(where: { $0.table == table }) {
            let found = uploadedSequences.remove(at: index)
            uploadedSequences.append(found)
            return found
        }
        let numbers = table.entries.flatMap {
            [$0.queryOffset, $0.queryCount, $0.keyOffset, $0.keyCount].map(Int32.init)
        }
        guard let rows = newTensor(.int32, [table.entries.count, 4]) else { return nil }
        numbers.withUnsafeBytes { write($0, to: rows) }
        if uploadedSequences.count >= Self.keptTables { uploadedSequences.removeFirst() }
        let result = DeviceSequences(
            table: table, rows: rows,
            largestQueryCount: table.entries.map(\.queryCount).max() ?? 0,
            largestKeyCount: table.entries.map(\.keyCount).max() ?? 0)
        uploadedSequences.append(result)
        return result
    }
}
