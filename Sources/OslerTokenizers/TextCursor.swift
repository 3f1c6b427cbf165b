/// Reads characters from valid UTF-8; the text of Swift strings always is.
struct TextCursor {
    let base: UnsafePointer<UInt8>
    let end: Int
    let classes: UnsafePointer<UInt8>

    init(_ base: UnsafePointer<UInt8>, end: Int) {
        (self.base, self.end) = (base, end)
        classes = UnsafePointer(CharacterClass.basicPlane.base)
    }

    /// The class of the character at `i < end` and where the next one begins.
    @inline(__always) func character(at i: Int) -> (kind: CharacterClass, next: Int) {
        let byte = base[i]
        if byte < 0x80 { return (CharacterClass(rawValue: classes[Int(byte)]), i + 1) }
        let (scalar, next) = decode(at: i)
        let kind =
            scalar < 0x10000
            ? CharacterClass(rawValue: classes[Int(scalar)]) : CharacterClass.computed(scalar)
        return (kind, next)
    }

    @inline(__always) func kind(at i: Int) -> CharacterClass { character(at: i).kind }

    /// The scalar at `i < end` and where the next one begins.
    @inline(__always) func decode(at i: Int) -> (scalar: UInt32, next: Int) {
        let a = UInt32(base[i])
        if a < 0x80 { return (a, i + 1) }
        let b = UInt32(base[i + 1]) & 0x3F
        if a < 0xE0 { return ((a & 0x1F) << 6 | b, i + 2) }
        let c = UInt32(base[i + 2]) & 0x3F
        if a < 0xF0 { return ((a & 0x0F) << 12 | b << 6 | c, i + 3) }
        let d = UInt32(base[i + 3]) & 0x3F
        return ((a & 0x07) << 18 | b << 12 | c << 6 | d, i + 4)
    }

    /// The end of the run of characters of `kind` from `i` on; `i` where there is none.
    @inline(__always) func run(of kind: CharacterClass, from i: Int) -> Int {
        var i = i
        while i < end {
            let (k, next) = character(at: i)
            guard k.has(kind) else { break }
            i = next
        }
        return i
    }

    /// The end of the run of characters of none of `kinds` from `i` on.
    @inline(__always) func run(ofNone kinds: CharacterClass, from i: Int) -> Int {
        var i = i
        while i < end {
            let (k, next) = character(at: i)
            guard !k.has(kinds) else { break }
            i = next
        }
        return i
    }
}
