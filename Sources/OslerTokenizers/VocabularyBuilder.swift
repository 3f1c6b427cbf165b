internal import OslerFormats

/// Checks the tokens and merges of a file and turns them into the tables that encoding reads.
struct VocabularyBuilder {
    let vocabulary: Vocabulary
    private(set) var idsOfOthers: [[UInt8]: Int32] = [:]
    private(set) var textsOfOthers: [Int32: String] = [:]
    private let source: TokenizerSource
    private let table = ByteLevelAlphabet.bytes

    /// An id may exceed the number of tokens (gaps are left), but no file makes us allocate much more
    /// than it holds.
    private static func idLimit(_ count: Int) -> Int { min(count * 2 + 65_536, 1 << 30) }

    init(_ source: TokenizerSource) throws {
        self.source = source
        if source.tokens.count == 0 {
            throw InputError("has no tokens", file: source.file, field: "model.vocab")
        }
        let count = source.tokens.count
        let limit = Self.idLimit(count + source.addedTokens.count)
        var places = try Self.places(source, limit)
        let added = try Self.newTokens(source, &places, limit)

        var (blob, starts): ([UInt8], [UInt32]) = ([], [0])
        blob.reserveCapacity(source.tokens.bytes.count)
        starts.reserveCapacity(places.count + 1)
        var isMergeable = [Bool](repeating: false, count: places.count)
        var (ids, texts): ([[UInt8]: Int32], [Int32: String]) = ([:], [:])
        let table = ByteLevelAlphabet.bytes
        source.tokens.bytes.withUnsafeBufferPointer { bytes in
            for (id, place) in places.enumerated() {
                if place >= 0, place < count {
                    let spelling = UnsafeBufferPointer(rebasing: bytes[source.tokens.range(place)])
                    isMergeable[id] = ByteLevelAlphabet.append(spelling, to: &blob, table: table)
                    if !isMergeable[id] {
                        ids[Array(spelling)] = Int32(id)
                        texts[Int32(id)] = source.tokens.text(place)
                        blob.append(contentsOf: spelling)
                    }
                } else if place >= count {
                    let text = Array(added[place - count].content.utf8)
                    ids[text] = Int32(id)
                    texts[Int32(id)] = added[place - count].content
                    // Decoded as the others are: by the alphabet if every character is in it.
                    let isSpelling = text.withUnsafeBufferPointer {
                        ByteLevelAlphabet.append($0, to: &blob, table: table)
                    }
                    if !isSpelling { blob.append(contentsOf: text) }
                }
                starts.append(UInt32(truncatingIfNeeded: blob.count))
            }
        }
        (idsOfOthers, textsOfOthers) = (ids, texts)
        vocabulary = Vocabulary(blob: blob, starts: starts) { isMergeable[$0] }
    }

    /// Which token has each id; -1 for none.
    private static func places(_ source: TokenizerSource, _ limit: Int) throws -> [Int] {
        let last = source.ids.max() ?? 0
        guard last < limit else {
            throw InputError(
                "id \(last) is too large for \(source.ids.count) tokens", file: source.file,
                field: "model.vocab")
        }
        var places = [Int](repeating: -1, count: last + 1)
        for (place, id) in source.ids.enumerated() {
            if places[id] >= 0 {
                throw InputError(
                    "\"\(source.tokens.text(places[id]))\" and \"\(source.tokens.text(place))\" "
                        + "both have id \(id)", file: source.file, field: "model.vocab")
            }
            places[id] = place
        }
        return places
    }

    /// The added tokens that the vocabulary lacks, their places behind those of the vocabulary.
    private static func newTokens(
        _ source: TokenizerSource, _ places: inout [Int], _ limit: Int
    ) throws -> [AddedToken] {
        var added: [AddedToken] = []
        for (i, token) in source.addedTokens.enumerated() {
            func failure(_ problem: String) -> InputError {
                InputError(problem, file: source.file, field: "added_tokens[\(i)]")
            }
            let id = Int(token.id)
            if id >= limit { throw failure("id \(id) is too large for \(places.count) tokens") }
            while places.count <= id { places.append(-1) }
            if places[id] < 0 {
                places[id] = source.tokens.count + added.count
                added.append(token)
                continue
            }
            let other =
                places[id] < source.tokens.count
                ? source.tokens.text(places[id])
                : added[places[id] - source.tokens.count].content
            guard other.utf8.elementsEqual(token.content.utf8) else {
                throw failure("\"\(token.content)\" has id \(id), which is \"\(other)\"")
            }
        }
        return added
    }

    /// The merges by id.
    func merges() throws -> MergeTable {
        var merges: [(left: Int32, right: Int32, merged: Int32)] = []
        merges.reserveCapacity(source.mergeSides.count / 2)
        var scratch: [UInt8] = []
        try source.mergeSides.bytes.withUnsafeBufferPointer { bytes in
            func append(_ side: Int) -> Bool {
                ByteLevelAlphabet.append(
                    UnsafeBufferPointer(rebasing: bytes[source.mergeSides.range(side)]),
                    to: &scratch, table: table)
            }
            func id(_ range: Range<Int>) -> Int32 {
                scratch.withUnsafeBufferPointer { scratch in
                    scratch.baseAddress.map {
                        vocabulary.id(of: $0 + range.lowerBound, range.count)
                    }
                        ?? -1
                }
            }
            for rank in 0..<(source.mergeSides.count / 2) {
                scratch.removeAll(keepingCapacity: true)
                let hasLeft = append(2 * rank)
                let middle = scratch.count
                let hasRight = append(2 * rank + 1)
                let left = hasLeft ? id(0..<middle) : -1
                let right = hasRight ? id(middle..<scratch.count) : -1
                let merged = left >= 0 && right >= 0 ? id(0..<scratch.count) : -1
                guard merged >= 0 else { throw unknown(rank, left, right) }
                merges.append((left, right, merged))
            }
        }
        return MergeTable(merges)
    }

    private func unknown(_ rank: Int, _ left: Int32, _ right: Int32) -> InputError {
        let sides = (
            source.mergeSides.text(2 * rank), source.mergeSides.text(2 * rank + 1)
        )
        let missing = left < 0 ? sides.0 : right < 0 ? sides.1 : sides.0 + sides.1
        return InputError(
            "\"\(sides.0) \(sides.1)\" needs \"\(missing)\", which is not in the vocabulary",
            file: source.file, field: "model.merges[\(rank)]")
    }
}
