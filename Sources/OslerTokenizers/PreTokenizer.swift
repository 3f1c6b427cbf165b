package import OslerFormats

/// Splits text into the pieces that BPE merges inside of: the steps of a `pre_tokenizer`, each
/// applied to every piece that the one before it gave.
package struct PreTokenizer: Sendable, Equatable {
    enum Step: Sendable, Equatable {
        case gpt2
        case llama3(digits: Int)
        case deepseekV3
        case run(ClassRun)
        /// `\s+$`: white space at the end of a line.
        case trailingSpace
        /// Puts a space before a piece that has none (`add_prefix_space`).
        case prefixSpace
    }

    var steps: [Step]

    /// A piece of text in memory. `shift` is what to add to its positions to get those in the text
    /// that was given; not 0 only behind an added space.
    struct Piece {
        var base: UnsafePointer<UInt8>
        var start: Int
        var end: Int
        var shift: Int
    }

    /// Gives the pieces of `text[start..<end]` to `body`, in order; together they cover it.
    @inline(__always)
    func forEachPiece(_ piece: Piece, _ body: (Piece) -> Void) {
        if piece.start < piece.end { split(piece, from: 0, body) }
    }

    private func split(_ piece: Piece, from index: Int, _ body: (Piece) -> Void) {
        guard index < steps.count else { return body(piece) }
        let text = TextCursor(piece.base, end: piece.end)
        switch steps[index] {
        case .gpt2:
            isolate(piece, index, body) { text.gpt2(at: $0) }
        case .llama3(let digits):
            isolate(piece, index, body) { text.llama3(at: $0, digits: digits) }
        case .deepseekV3:
            isolate(piece, index, body) { text.deepseekV3(at: $0) }
        case .run(let run):
            isolate(piece, index, body) { run.match(at: $0, in: text) }
        case .trailingSpace:
            isolate(piece, index, body) { text.trailingSpace(at: $0) }
        case .prefixSpace:
            prefixed(piece) { split($0, from: index + 1, body) }
        }
    }

    /// Every match becomes a piece of its own, and so does what lies between two matches.
    @inline(__always)
    private func isolate(
        _ piece: Piece, _ index: Int, _ body: (Piece) -> Void, _ match: (Int) -> Int
    ) {
        let isLast = index + 1 == steps.count
        func give(_ start: Int, _ end: Int) {
            var part = piece
            (part.start, part.end) = (start, end)
            if isLast { body(part) } else { split(part, from: index + 1, body) }
        }
        var (i, unmatched) = (piece.start, piece.start)
        while i < piece.end {
            let end = match(i)
            if end == i {
                i += 1
                while i < piece.end, piece.base[i] & 0xC0 == 0x80 { i += 1 }
                continue
            }
            if unmatched < i { give(unmatched, i) }
            give(i, end)
            (i, unmatched) = (end, end)
        }
        if unmatched < i { give(unmatched, i) }
    }

    private func prefixed(_ piece: Piece, _ body: (Piece) -> Void) {
        if piece.base[piece.start] == UInt8(ascii: " ") { return body(piece) }
        let count = piece.end - piece.start
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count + 1) { buffer in
            guard let base = buffer.baseAddress else { return }
            base.initialize(to: UInt8(ascii: " "))
            (base + 1).initialize(from: piece.base + piece.start, count: count)
            body(
                Piece(
                    base: base, start: 0, end: count + 1, shift: piece.shift + piece.start - 1))
        }
    }
}

extension PreTokenizer {
    /// The step or steps of a `pre_tokenizer` in `tokenizer.json`.
    package init(_ json: JSON, file: String) throws {
        steps = try PreTokenizerReader(file: file).steps(json)
    }

    /// The number of bytes of each piece of `text`, added spaces included.
    package func pieceLengths(_ text: String) -> [Int] {
        var text = text
        var lengths: [Int] = []
        text.withUTF8 { bytes in
            guard let base = bytes.baseAddress else { return }
            forEachPiece(Piece(base: base, start: 0, end: bytes.count, shift: 0)) {
                lengths.append($0.end - $0.start)
            }
        }
        return lengths
    }
}

extension TextCursor {
    /// `\s+$`, where `$` also stands before a line feed: the end of the match, `i` if there is none.
    func trailingSpace(at i: Int) -> Int {
        let stop = run(of: .space, from: i)
        if stop == end || stop == i { return stop }
        var j = stop - 1
        while j > i, base[j] != 0x0A { j -= 1 }
        return j
    }
}
