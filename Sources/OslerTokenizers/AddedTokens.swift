/// A token that is found in the text as it is, before any splitting.
struct AddedToken: Sendable, Equatable {
    var id: Int32
    var content: String
    /// Left out by `skipSpecialTokens`.
    var isSpecial = false
    /// Not found inside a word.
    var isSingleWord = false
    /// Takes the white space before it.
    var stripsLeft = false
    /// Takes the white space behind it.
    var stripsRight = false
    /// Looked for in the normalised text, not in the original.
    var isNormalized = false
}

/// Finds added tokens: leftmost first, the longest of those that begin at one place.
final class AddedTokenFinder: Sendable {
    /// `token` is nil for the text between two tokens.
    struct Part {
        var token: AddedToken?
        var start: Int
        var end: Int
    }

    private let tokens: [AddedToken]
    /// A trie: `child[n]` and `sibling[n]` are nodes, `label[n]` the byte that leads to `n`, `found[n]` the
    /// index of the token that ends there; -1 for none.
    private let label: [UInt8]
    private let child: [Int32]
    private let sibling: [Int32]
    private let found: [Int32]
    /// The first node of each first byte, or -1: most bytes of a text begin no token.
    private let roots: [Int32]

    /// Tokens are `(bytes to look for, token)`.
    init(_ patterns: [(bytes: [UInt8], token: AddedToken)]) {
        tokens = patterns.map(\.token)
        var label: [UInt8] = []
        var (child, sibling, found): ([Int32], [Int32], [Int32]) = ([], [], [])
        var roots = [Int32](repeating: -1, count: 256)
        func makeNode(_ byte: UInt8, before other: Int32) -> Int32 {
            label.append(byte)
            child.append(-1)
            sibling.append(other)
            found.append(-1)
            return Int32(label.count - 1)
        }
        for (index, pattern) in patterns.enumerated() {
            guard let first = pattern.bytes.first else { continue }
            if roots[Int(first)] < 0 { roots[Int(first)] = makeNode(first, before: -1) }
            var node = Int(roots[Int(first)])
            for byte in pattern.bytes.dropFirst() {
                var next = child[node]
                while next >= 0, label[Int(next)] != byte { next = sibling[Int(next)] }
                if next < 0 {
                    next = makeNode(byte, before: child[node])
                    child[node] = next
                }
                node = Int(next)
            }
            if found[node] < 0 { found[node] = Int32(index) }
        }
        (self.label, self.child, self.sibling) = (label, child, sibling)
        (self.found, self.roots) = (found, roots)
    }

    var isEmpty: Bool { tokens.isEmpty }

    /// The token that begins at `i`, the longest.
    private func match(_ text: UnsafeBufferPointer<UInt8>, at i: Int) -> (token: Int, end: Int)? {
        var node = roots[Int(text[i])]
        var (best, j) = (nil as (token: Int, end: Int)?, i)
        while node >= 0 {
            j += 1
            if found[Int(node)] >= 0 { best = (Int(found[Int(node)]), j) }
            guard j < text.count else { break }
            node = child[Int(node)]
            while node >= 0, label[Int(node)] != text[j] { node = sibling[Int(node)] }
        }
        return best
    }

    /// Cuts the text into tokens and what lies between them, in order. The whole text is searched
    /// for matches first and the flags decide about each, as `tokenizers` does: a match that a flag
    /// rejects still hides those that overlap it.
    func forEachPart(_ text: UnsafeBufferPointer<UInt8>, _ body: (Part) -> Void) {
        var (i, done) = (0, 0)
        roots.withUnsafeBufferPointer { roots in
            while i < text.count {
                while i < text.count, roots[Int(text[i])] < 0 { i += 1 }
                guard i < text.count else { break }
                guard let (index, matchEnd) = match(text, at: i) else {
                    i += 1
                    continue
                }
                let token = tokens[index]
                var (start, end) = (i, matchEnd)
                i = matchEnd
                if token.isSingleWord, !stands(alone: start..<end, in: text) { continue }
                if token.stripsLeft { start = max(spaceStart(before: start, in: text), done) }
                if token.stripsRight { end = spaceEnd(after: end, in: text) }
                if done < start { body(Part(token: nil, start: done, end: start)) }
                body(Part(token: token, start: start, end: end))
                done = end
            }
        }
        if done < text.count { body(Part(token: nil, start: done, end: text.count)) }
    }

    private func stands(alone range: Range<Int>, in text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = text.baseAddress else { return false }
        let cursor = TextCursor(base, end: text.count)
        if range.lowerBound > 0 {
            let before = cursor.decode(at: cursor.start(before: range.lowerBound)).scalar
            if isWordCharacter(before) { return false }
        }
        if range.upperBound < text.count {
            return !isWordCharacter(cursor.decode(at: range.upperBound).scalar)
        }
        return true
    }

    private func spaceStart(before end: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
        guard let base = text.baseAddress else { return end }
        let cursor = TextCursor(base, end: text.count)
        var i = end
        while i > 0 {
            let before = cursor.start(before: i)
            guard cursor.kind(at: before).has(.space) else { break }
            i = before
        }
        return i
    }

    private func spaceEnd(after start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
        guard let base = text.baseAddress else { return start }
        return TextCursor(base, end: text.count).run(of: .space, from: start)
    }

    /// `\w` of Unicode's regular expressions (UTS 18).
    private func isWordCharacter(_ scalar: UInt32) -> Bool {
        guard let properties = Unicode.Scalar(scalar)?.properties else { return false }
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .decimalNumber, .connectorPunctuation, .nonspacingMark, .spacingMark, .enclosingMark:
            return true
        default: return false
        }
    }
}

extension TextCursor {
    /// Where the character that ends at `i > 0` begins.
    func start(before i: Int) -> Int {
        var j = i - 1
        while j > 0, base[j] & 0xC0 == 0x80 { j -= 1 }
        return j
    }
}
