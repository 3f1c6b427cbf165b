/// How rows are put together into sequences of at most `max_length` tokens (TRL's
/// `packing_strategy`).
package enum PackingStrategy: String, Sendable, CaseIterable {
    /// Best fit decreasing; what exceeds `max_length` is cut off.
    case bestFitDecreasing = "bfd"
    /// Best fit decreasing; what exceeds `max_length` becomes sequences of its own.
    case bestFitDecreasingSplit = "bfd_split"
    /// Rows joined end to end and cut every `max_length` tokens: no borders between rows.
    case wrapped
}

/// A part of a row in a pack.
package struct PackedPiece: Sendable, Equatable {
    /// Index into the lengths that were packed.
    package var row: Int
    /// Its tokens.
    package var range: Range<Int>
}

/// Packs rows of the given lengths. Best fit decreasing ("Fewer Truncations Improve Language
/// Modeling", arXiv:2404.10830) takes the longest row first and puts it where the least room is
/// left over; of several packs with the same room the one that got it first. Order and content
/// equal `trl.pack_dataset` of TRL 1.16.
///
/// - Parameter chunk: pack this many rows at a time; TRL packs every 1000 rows on their own, nil
///   packs all together.
/// - Returns: for each pack its pieces, in order.
package func pack(
    lengths: [Int], maxLength: Int, strategy: PackingStrategy = .bestFitDecreasing,
    chunk: Int? = nil
) -> [[PackedPiece]] {
    precondition(maxLength > 0 && (chunk ?? 1) > 0)
    return stride(from: 0, to: lengths.count, by: chunk ?? max(lengths.count, 1)).flatMap { start in
        let rows = start..<min(start + (chunk ?? lengths.count), lengths.count)
        let pieces = rows.filter { lengths[$0] > 0 }.flatMap { row in
            fittingPieces(row: row, length: lengths[row], maxLength: maxLength, strategy: strategy)
        }
        return strategy == .wrapped
            ? wrap(pieces, maxLength: maxLength) : bestFit(pieces, maxLength: maxLength)
    }
}

/// A row's pieces, none longer than `maxLength` (one piece of any length when wrapping).
private func fittingPieces(
    row: Int, length: Int, maxLength: Int, strategy: PackingStrategy
) -> [PackedPiece] {
    switch strategy {
    case .wrapped:
        [PackedPiece(row: row, range: 0..<length)]
    case .bestFitDecreasing:
        [PackedPiece(row: row, range: 0..<min(length, maxLength))]
    case .bestFitDecreasingSplit:
        stride(from: 0, to: length, by: maxLength).map {
            PackedPiece(row: row, range: $0..<min($0 + maxLength, length))
        }
    }
}

private func bestFit(_ pieces: [PackedPiece], maxLength: Int) -> [[PackedPiece]] {
    // Equal lengths stay in their order.
    let order = pieces.indices.sorted {
        let (a, b) = (pieces[$0].range.count, pieces[$1].range.count)
        return a == b ? $0 < $1 : a > b
    }
    // A pack can't be longer than all pieces together; the index takes memory for every length.
    let maxLength = min(maxLength, pieces.reduce(0) { $0 + $1.range.count })
    var rooms = RoomIndex(maxRoom: maxLength)
    var packs: [[PackedPiece]] = []
    for index in order {
        let piece = pieces[index]
        let pack: Int
        var room = maxLength
        if let found = rooms.takeSmallest(atLeast: piece.range.count) {
            (pack, room) = found
        } else {
            pack = packs.count
            packs.append([])
        }
        packs[pack].append(piece)
        rooms.add(pack: pack, room: room - piece.range.count)
    }
    return packs
}

private func wrap(_ pieces: [PackedPiece], maxLength: Int) -> [[PackedPiece]] {
    var packs: [[PackedPiece]] = []
    var filled = maxLength
    for piece in pieces {
        var start = 0
        while start < piece.range.count {
            if filled == maxLength {
                packs.append([])
                filled = 0
            }
            let end = min(start + maxLength - filled, piece.range.count)
            packs[packs.count - 1].append(PackedPiece(row: piece.row, range: start..<end))
            filled += end - start
            start = end
        }
    }
    return packs
}

/// Packs by the room left in them: a first-in-first-out queue a room, and a tree of maxima over the
/// rooms that have one, so that the smallest sufficient room is found in log2(maxRoom) steps.
private struct RoomIndex {
    private var queues: [[Int]]
    private var heads: [Int]
    private var tree: [Int]
    private let leaves: Int

    init(maxRoom: Int) {
        queues = Array(repeating: [], count: maxRoom + 1)
        heads = Array(repeating: 0, count: maxRoom + 1)
        var leaves = 1
        while leaves < maxRoom + 1 { leaves *= 2 }
        self.leaves = leaves
        tree = Array(repeating: 0, count: 2 * leaves)
    }

    mutating func add(pack: Int, room: Int) {
        if room == 0 { return }
        queues[room].append(pack)
        setLeaf(room, to: room)
    }

    mutating func takeSmallest(atLeast room: Int) -> (pack: Int, room: Int)? {
        guard tree[1] >= room else { return nil }
        var node = 1
        while node < leaves { node = tree[2 * node] >= room ? 2 * node : 2 * node + 1 }
        let found = node - leaves
        let pack = queues[found][heads[found]]
        heads[found] += 1
        if heads[found] == queues[found].count { setLeaf(found, to: 0) }
        return (pack, found)
    }

    private mutating func setLeaf(_ room: Int, to value: Int) {
        var node = leaves + room
        tree[node] = value
        while node > 1 {
            node /= 2
            tree[node] = max(tree[2 * node], tree[2 * node + 1])
        }
    }
}
