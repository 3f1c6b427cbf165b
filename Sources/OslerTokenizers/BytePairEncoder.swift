/// Byte-pair encoding of one piece of text: start from its bytes, merge the pair of lowest rank,
/// leftmost first, until no pair merges (Sennrich et al. 2016, on bytes as in GPT-2).
final class BytePairEncoder: Sendable {
    let vocabulary: Vocabulary
    let merges: MergeTable
    /// The token of each single byte; -1 where the vocabulary has none.
    let byteTokens: ConstantTable<Int32>
    /// Stands for bytes without a token; without it they vanish, as in `tokenizers`.
    let unknown: Int32?
    let fusesUnknown: Bool
    /// Whether a piece that is a token as a whole is taken without merging.
    let ignoresMerges: Bool

    /// Above this many symbols a heap finds the next pair; below, looking at all is faster.
    private static let longest = 96

    init(
        vocabulary: Vocabulary, merges: MergeTable, unknown: Int32?, fusesUnknown: Bool,
        ignoresMerges: Bool
    ) {
        (self.vocabulary, self.merges) = (vocabulary, merges)
        (self.unknown, self.fusesUnknown) = (unknown, fusesUnknown)
        self.ignoresMerges = ignoresMerges
        byteTokens = ConstantTable(repeating: -1, count: 256) { table in
            for value in 0..<256 {
                withUnsafePointer(to: UInt8(value)) { table[value] = vocabulary.id(of: $0, 1) }
            }
        }
    }

    /// Appends the ids of the piece `bytes[0..<count]`, `count` > 0.
    @inline(__always)
    func encode(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, cache: PieceCache, into ids: inout [Int32]
    ) {
        guard count <= PieceCache.maximalBytes else {
            return encodeUncached(bytes, count, into: &ids)
        }
        let key = cache.key(bytes, count)
        if cache.append(key, to: &ids) { return }
        let first = ids.count
        encodeUncached(bytes, count, into: &ids)
        cache.store(key, ids[first...])
    }

    @inline(never)
    func encodeUncached(_ bytes: UnsafePointer<UInt8>, _ count: Int, into ids: inout [Int32]) {
        if ignoresMerges {
            let whole = vocabulary.id(of: bytes, count)
            if whole >= 0 { return ids.append(whole) }
        }
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: count) { symbols in
            guard let symbols = symbols.baseAddress else { return }
            let n = start(bytes, count, symbols)
            if n > Self.longest {
                mergeLong(symbols, n, into: &ids)
            } else {
                mergeShort(symbols, n, into: &ids)
            }
        }
    }

    /// Writes the token of each byte; returns how many there are.
    private func start(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ symbols: UnsafeMutablePointer<Int32>
    ) -> Int {
        var n = 0
        var isUnknownOpen = false
        var i = 0
        while i < count {
            let id = byteTokens[Int(bytes[i])]
            i += 1
            if id >= 0 {
                isUnknownOpen = false
            } else if isUnknownOpen && fusesUnknown {
                continue
            } else {
                isUnknownOpen = true
            }
            guard let symbol = id >= 0 ? id : unknown else { continue }
            symbols[n] = symbol
            n += 1
        }
        return n
    }

    /// Looks at all pairs for the best: quadratic, but short pieces are nearly all there is.
    private func mergeShort(
        _ symbols: UnsafeMutablePointer<Int32>, _ count: Int, into ids: inout [Int32]
    ) {
        var n = count
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: max(n, 1)) { values in
            guard let values = values.baseAddress else { return }
            for i in 0..<max(n - 1, 0) { values[i] = merges.value(symbols[i], symbols[i + 1]) }
            while n > 1 {
                var (best, at) = (MergeTable.none, 0)
                for i in 0..<(n - 1) where values[i] < best { (best, at) = (values[i], i) }
                guard best != MergeTable.none else { break }
                symbols[at] = Int32(truncatingIfNeeded: best)
                // Close the gap behind the merged pair, then renew the two pairs that it is in.
                n -= 1
                for i in stride(from: at + 1, to: n, by: 1) { symbols[i] = symbols[i + 1] }
                for i in stride(from: at + 1, to: n - 1, by: 1) { values[i] = values[i + 1] }
                if at > 0 { values[at - 1] = merges.value(symbols[at - 1], symbols[at]) }
                if at + 1 < n { values[at] = merges.value(symbols[at], symbols[at + 1]) }
            }
        }
        for i in 0..<n { ids.append(symbols[i]) }
    }

    /// A heap of pairs over a linked list of symbols: n log n for words of any length.
    private func mergeLong(
        _ symbols: UnsafeMutablePointer<Int32>, _ n: Int, into ids: inout [Int32]
    ) {
        var previous = (0..<n).map { $0 - 1 }
        var next = (0..<n).map { $0 + 1 }
        var isGone = [Bool](repeating: false, count: n)
        var heap = PairHeap(capacity: n)
        for i in 0..<(n - 1) { heap.push(merges.value(symbols[i], symbols[i + 1]), at: i) }
        while let (value, left) = heap.pop() {
            // A pair is stale if its left symbol is gone or no longer merges into the same.
            if isGone[left] || next[left] >= n { continue }
            let right = next[left]
            guard merges.value(symbols[left], symbols[right]) == value else { continue }
            symbols[left] = Int32(truncatingIfNeeded: value)
            isGone[right] = true
            next[left] = next[right]
            if next[left] < n {
                previous[next[left]] = left
                heap.push(merges.value(symbols[left], symbols[next[left]]), at: left)
            }
            if previous[left] >= 0 {
                heap.push(merges.value(symbols[previous[left]], symbols[left]), at: previous[left])
            }
        }
        for i in 0..<n where !isGone[i] { ids.append(symbols[i]) }
    }
}

/// A binary heap of merges: lowest rank first, leftmost among equals.
private struct PairHeap {
    private var items: [(value: UInt64, position: Int)] = []

    init(capacity: Int) { items.reserveCapacity(capacity) }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        items[a].value != items[b].value
            ? items[a].value < items[b].value : items[a].position < items[b].position
    }

    mutating func push(_ value: UInt64, at position: Int) {
        guard value != MergeTable.none else { return }
        items.append((value, position))
        var i = items.count - 1
        while i > 0, precedes(i, (i - 1) / 2) {
            items.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    mutating func pop() -> (value: UInt64, position: Int)? {
        guard let top = items.first else { return nil }
        items.swapAt(0, items.count - 1)
        items.removeLast()
        var i = 0
        while true {
            var least = i
            for child in [2 * i + 1, 2 * i + 2] where child < items.count {
                if precedes(child, least) { least = child }
            }
            if least == i { return top }
            items.swapAt(i, least)
            i = least
        }
    }
}
