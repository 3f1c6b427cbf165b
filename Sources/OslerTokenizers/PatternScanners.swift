/// Hand-written scanners for the regular expressions that split text into words. Each gives the end
/// of the match that starts at `i`, trying the alternatives in the order of the expression as a
/// backtracking engine does.
extension TextCursor {
    /// GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
    /// Every character is matched by something.
    @inline(__always) func gpt2(at i: Int) -> Int {
        let first = base[i]
        if first == UInt8(ascii: "'"), let end = contraction(at: i, ignoringCase: false) {
            return end
        }
        var (kind, next) = character(at: i)
        if kind.has(.space) {
            guard first == UInt8(ascii: " "), next < end else { return spaces(at: i) }
            let second = character(at: next)
            if second.kind.has(.space) { return spaces(at: i) }
            (kind, next) = second
        }
        if kind.has(.letter) { return run(of: .letter, from: next) }
        if kind.has(.number) { return run(of: .number, from: next) }
        return run(ofNone: [.space, .letter, .number], from: next)
    }

    /// Llama 3: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|`
    /// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`; Qwen 2 has `\p{N}` for `\p{N}{1,3}`
    /// (`digits` is 1). Every character is matched by something.
    @inline(__always) func llama3(at i: Int, digits: Int) -> Int {
        let first = base[i]
        if first == UInt8(ascii: "'"), let end = contraction(at: i, ignoringCase: true) {
            return end
        }
        let (kind, next) = character(at: i)
        if kind.has(.letter) { return run(of: .letter, from: next) }
        if kind.has(.number) { return upTo(digits - 1, of: .number, from: next) }
        if !kind.has(.newline), next < end {
            let second = character(at: next)
            if second.kind.has(.letter) { return run(of: .letter, from: second.next) }
            if first == UInt8(ascii: " "), !second.kind.has([.space, .number]) {
                return afterNewlines(run(ofNone: [.space, .letter, .number], from: second.next))
            }
        }
        if kind.has(.space) { return linesOrSpaces(at: i) }
        return afterNewlines(run(ofNone: [.space, .letter, .number], from: next))
    }

    /// The last expression of DeepSeek V3:
    /// ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|``
    /// ` ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`. Gives `i` where nothing matches.
    func deepseekV3(at i: Int) -> Int {
        let first = base[i]
        let (kind, next) = character(at: i)
        if first < 0x80, kind.has([.punctuation, .symbol]), next < end, isASCIILetter(base[next]) {
            var j = next + 1
            while j < end, isASCIILetter(base[j]) { j += 1 }
            return j
        }
        if kind.has([.letter, .mark]) { return run(of: [.letter, .mark], from: next) }
        if !kind.has([.newline, .punctuation, .symbol]) {
            let j = run(of: [.letter, .mark], from: next)
            if j > next { return j }
        }
        let signs = first == UInt8(ascii: " ") ? next : i
        let j = run(of: [.punctuation, .symbol], from: signs)
        if j > signs { return afterNewlines(j) }
        return kind.has(.space) ? linesOrSpaces(at: i) : i
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+` at a white character.
    @inline(__always) private func linesOrSpaces(at i: Int) -> Int {
        let stop = run(of: .space, from: i)
        var lastLineEnd = stop
        while lastLineEnd > i, base[lastLineEnd - 1] != 0x0A, base[lastLineEnd - 1] != 0x0D {
            lastLineEnd -= 1
        }
        return lastLineEnd > i ? lastLineEnd : spaces(from: i, to: stop)
    }

    /// `\s+(?!\S)|\s+` at a white character: the run, less its last character when a word follows.
    @inline(__always) private func spaces(at i: Int) -> Int {
        spaces(from: i, to: run(of: .space, from: i))
    }

    @inline(__always) private func spaces(from i: Int, to stop: Int) -> Int {
        if stop == end { return stop }
        var last = stop - 1
        while base[last] & 0xC0 == 0x80 { last -= 1 }
        return last > i ? last : stop
    }

    @inline(__always) private func afterNewlines(_ i: Int) -> Int {
        var i = i
        while i < end, base[i] == 0x0A || base[i] == 0x0D { i += 1 }
        return i
    }

    /// The end of at most `limit` characters of `kind` from `i` on.
    @inline(__always) func upTo(_ limit: Int, of kind: CharacterClass, from i: Int) -> Int {
        var (i, left) = (i, limit)
        while left > 0, i < end {
            let (k, next) = character(at: i)
            guard k.has(kind) else { break }
            (i, left) = (next, left - 1)
        }
        return i
    }

    @inline(__always) private func isASCIILetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- UInt8(ascii: "a") < 26
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d` at an apostrophe.
    private func contraction(at i: Int, ignoringCase: Bool) -> Int? {
        let fold: UInt8 = ignoringCase ? 0x20 : 0
        guard i + 1 < end else { return nil }
        let a = base[i + 1] | fold
        switch a {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return i + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
            guard i + 2 < end else { return nil }
            let b = base[i + 2] | fold
            let wanted = a == UInt8(ascii: "l") ? UInt8(ascii: "l") : UInt8(ascii: "e")
            return b == wanted ? i + 3 : nil
        default:
            // U+017F, the long s, is an s to a matcher that ignores case.
            guard ignoringCase, i + 2 < end, base[i + 1] == 0xC5, base[i + 2] == 0xBF else {
                return nil
            }
            return i + 3
        }
    }
}
