internal import OslerFormats

/// Rows that ask nearly the same as an earlier one: Jaccard similarity of their sequences of three words, found by MinHash
/// (Broder 1997) with bands, then computed exactly. What a row doesn't say as a question is compared as a whole.
package enum NearDuplicates {
    package struct Pair: Sendable, Equatable {
        package var split: String
        package var row: Int
        /// The earlier row; its split is the same or one before.
        package var otherSplit: String
        package var otherRow: Int
        package var similarity: Double
    }

    /// Rows at least so similar are named.
    package static let threshold = 0.7
    private static let words = 3
    private static let bands = 16
    private static let bandRows = 4
    /// Rows of one band that a row is compared with: enough to find one, and no square of them all.
    private static let mostCompared = 16

    /// The pairs, one for each row that has an earlier one; rows that say the same are not among them, `Duplicates` has
    /// those.
    package static func find(_ splits: [PreparedDataset], threads: Int) throws -> [Pair] {
        let places = splits.indices.flatMap { split in
            splits[split].rows.indices.map { (split: split, index: $0) }
        }
        let sets = try parallelMap(count: places.count, threads: threads) { place in
            let (split, index) = places[place]
            return shingles(splits[split].records[index].questionText)
        }
        let signatures = try parallelMap(count: places.count, threads: threads) {
            signature(sets[$0])
        }
        var buckets: [UInt64: [Int]] = [:]
        var pairs: [Pair] = []
        for place in places.indices where !sets[place].isEmpty {
            var compared: Set<Int> = []
            var best: (place: Int, similarity: Double)?
            for key in signatures[place] {
                for other in buckets[key, default: []] where compared.insert(other).inserted {
                    let similarity = jaccard(sets[place], sets[other])
                    if similarity >= threshold, similarity > best?.similarity ?? 0 {
                        best = (other, similarity)
                    }
                }
                if buckets[key, default: []].count < mostCompared {
                    buckets[key, default: []].append(place)
                }
            }
            guard let best, sets[best.place] != sets[place] else { continue }
            let (own, other) = (places[place], places[best.place])
            pairs.append(
                Pair(
                    split: splits[own.split].name, row: splits[own.split].rows[own.index],
                    otherSplit: splits[other.split].name,
                    otherRow: splits[other.split].rows[other.index], similarity: best.similarity))
        }
        return pairs
    }

    /// Hashes of all sequences of three words, sorted; of all words where there are fewer.
    static func shingles(_ text: String) -> [UInt32] {
        var hashes: [UInt64] = []
        var hash: UInt64 = 0
        for byte in text.utf8 {
            let isLetter =
                byte >= 0x80 || (byte >= 0x30 && byte <= 0x39)
                || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A)
            if isLetter {
                let small = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
                hash = (hash ^ UInt64(small) &+ 1) &* 0x100_0000_01b3
            } else if hash != 0 {
                hashes.append(hash)
                hash = 0
            }
        }
        if hash != 0 { hashes.append(hash) }
        guard !hashes.isEmpty else { return [] }
        let width = min(words, hashes.count)
        let all = (0...(hashes.count - width)).map { start in
            let joined = hashes[start..<start + width].reduce(UInt64(0)) { mixed($0 &* 31 &+ $1) }
            return UInt32(truncatingIfNeeded: joined >> 32)
        }
        return Array(Set(all)).sorted()
    }

    /// A key for each band of the signature.
    private static func signature(_ set: [UInt32]) -> [UInt64] {
        (0..<bands).map { band in
            var key = UInt64(band)
            for row in 0..<bandRows {
                let seed = mixed(UInt64(band * bandRows + row) &+ 1)
                let least = set.lazy.map { mixed(UInt64($0) ^ seed) }.min() ?? 0
                key = mixed(key ^ least)
            }
            return key
        }
    }

    private static func jaccard(_ a: [UInt32], _ b: [UInt32]) -> Double {
        var (i, j, common) = (0, 0, 0)
        while i < a.count, j < b.count {
            if a[i] == b[j] {
                (i, j, common) = (i + 1, j + 1, common + 1)
            } else if a[i] < b[j] {
                i += 1
            } else {
                j += 1
            }
        }
        return Double(common) / Double(a.count + b.count - common)
    }

    /// The finalizer of SplitMix64 (Steele et al. 2014).
    private static func mixed(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

extension Record {
    /// What the row asks, without the system prompt that rows have in common; the whole text where it asks nothing.
    fileprivate var questionText: String {
        let parts = careTexts
        let asked = parts.filter { $0.place == "user" || $0.place == "prompt" }
        return (asked.isEmpty ? parts : asked).map(\.text).joined(separator: "\n")
    }
}
