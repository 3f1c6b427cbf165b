internal import Synchronization

/// Text to ids: added tokens, normalisation, pre-tokenization, merges, and the special tokens
/// around the whole.
final class TextEncoder: Sendable {
    private let normalizer: Normalizer
    private let preTokenizer: PreTokenizer
    private let pairs: BytePairEncoder
    private let originalTokens: AddedTokenFinder
    private let normalizedTokens: AddedTokenFinder
    private let prefix: [Int32]
    private let suffix: [Int32]
    /// Caches that no call uses at the moment; as many as calls ran at the same time.
    private let idleCaches = Mutex<[PieceCache]>([])

    init(_ source: TokenizerSource, _ pairs: BytePairEncoder) {
        self.pairs = pairs
        (normalizer, preTokenizer) = (source.normalizer, source.preTokenizer)
        (prefix, suffix) = (source.prefix, source.suffix)
        originalTokens = AddedTokenFinder(
            source.addedTokens.filter { !$0.isNormalized }.map { (Array($0.content.utf8), $0) })
        let normalizer = source.normalizer
        normalizedTokens = AddedTokenFinder(
            source.addedTokens.filter(\.isNormalized).map { token in
                let bytes = Array(token.content.utf8)
                let normalized = bytes.withUnsafeBufferPointer { normalizer.normalized($0)?.bytes }
                return (normalized ?? bytes, token)
            })
    }

    /// Ids found so far and, if they are asked for, their places in the text.
    fileprivate struct Output {
        var ids: [Int32] = []
        var ranges: [Range<Int>]?
    }

    func encode(
        _ text: UnsafeBufferPointer<UInt8>, addSpecialTokens: Bool, withRanges: Bool
    ) -> (ids: [Int32], ranges: [Range<Int>]) {
        let cache = idleCaches.withLock { $0.popLast() } ?? PieceCache()
        defer { idleCaches.withLock { $0.append(cache) } }
        var output = Output(ranges: withRanges ? [] : nil)
        output.ids.reserveCapacity(text.count / 3 + 8)
        if addSpecialTokens { append(prefix, at: 0, to: &output) }
        originalTokens.forEachPart(text) { part in
            if let token = part.token {
                output.ids.append(token.id)
                output.ranges?.append(part.start..<part.end)
            } else {
                encode(text, part.start..<part.end, cache, &output)
            }
        }
        if addSpecialTokens { append(suffix, at: text.count, to: &output) }
        return (output.ids, output.ranges ?? [])
    }

    private func append(_ ids: [Int32], at place: Int, to output: inout Output) {
        output.ids += ids
        for _ in ids { output.ranges?.append(place..<place) }
    }

    /// A stretch of the text without tokens that are found in the original.
    private func encode(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ cache: PieceCache,
        _ output: inout Output
    ) {
        let part = UnsafeBufferPointer(rebasing: text[range])
        let first = output.ranges?.count ?? 0
        guard let normalized = normalizer.normalized(part) else {
            encodeNormalized(part, cache, &output)
            return output.move(from: first) { low, high in
                (low + range.lowerBound)..<(high + range.lowerBound)
            }
        }
        normalized.bytes.withUnsafeBufferPointer { encodeNormalized($0, cache, &output) }
        output.move(from: first) { low, high in
            let start = normalized.source(of: low, isEnd: false, sourceCount: range.count)
            let end = normalized.source(of: high, isEnd: true, sourceCount: range.count)
            return (start + range.lowerBound)..<(max(start, end) + range.lowerBound)
        }
    }

    /// Normalised text; ranges are positions in it.
    private func encodeNormalized(
        _ text: UnsafeBufferPointer<UInt8>, _ cache: PieceCache, _ output: inout Output
    ) {
        guard let base = text.baseAddress else { return }
        func encode(_ start: Int, _ end: Int) {
            let whole = PreTokenizer.Piece(base: base, start: start, end: end, shift: 0)
            preTokenizer.forEachPiece(whole) { piece in
                let first = output.ids.count
                pairs.encode(
                    piece.base + piece.start, piece.end - piece.start, cache: cache,
                    into: &output.ids)
                if output.ranges != nil {
                    appendRanges(first, piece, text: start, &output)
                }
            }
        }
        if normalizedTokens.isEmpty { return encode(0, text.count) }
        normalizedTokens.forEachPart(text) { part in
            if let token = part.token {
                output.ids.append(token.id)
                output.ranges?.append(part.start..<part.end)
            } else {
                encode(part.start, part.end)
            }
        }
    }

    /// The tokens of a piece cover it one behind the other. Only where the vocabulary lacks a byte
    /// they may not; then each gets the whole piece.
    private func appendRanges(
        _ first: Int, _ piece: PreTokenizer.Piece, text start: Int, _ output: inout Output
    ) {
        var lengths = output.ids[first...].map { pairs.vocabulary.bytes(of: $0).count }
        let isCovered = lengths.reduce(0, +) == piece.end - piece.start
        var low = piece.start + piece.shift
        if !isCovered { lengths = lengths.map { _ in 0 } }
        for length in lengths {
            let high = isCovered ? low + length : piece.end + piece.shift
            // An added space is before the text.
            output.ranges?.append(max(low, start)..<max(high, start))
            if isCovered { low = high }
        }
    }
}

extension TextEncoder.Output {
    /// Replaces the ranges from `first` on by their places in the original text.
    fileprivate mutating func move(from first: Int, _ place: (Int, Int) -> Range<Int>) {
        guard let count = ranges?.count else { return }
        for i in first..<count {
            if let range = ranges?[i] { ranges?[i] = place(range.lowerBound, range.upperBound) }
        }
    }
}

extension Tokenizer {
    /// Ids, and for each the UTF-8 byte range of the text that it stands for.
    package struct Encoding: Sendable, Equatable {
        package var ids: [Int32]
        package var ranges: [Range<Int>]
    }

    /// The ids of `text`, in which added tokens such as `<|im_end|>` are recognised. Special tokens
    /// around it (BOS) are added only if asked for.
    package func encode(_ text: String, addSpecialTokens: Bool = false) -> [Int32] {
        var text = text
        return text.withUTF8 {
            encoder.encode($0, addSpecialTokens: addSpecialTokens, withRanges: false).ids
        }
    }

    /// `encode` with the place of each token, for masks that follow from spans of the text.
    ///
    /// Byte ranges are of `text.utf8` and may split a character. Tokens that `addSpecialTokens` adds
    /// get an empty range at the start or the end. Where normalisation changed a character, its
    /// tokens get the whole character.
    package func encodeWithOffsets(_ text: String, addSpecialTokens: Bool = false) -> Encoding {
        var text = text
        return text.withUTF8 {
            let (ids, ranges) = encoder.encode(
                $0, addSpecialTokens: addSpecialTokens, withRanges: true)
            return Encoding(ids: ids, ranges: ranges)
        }
    }
}
