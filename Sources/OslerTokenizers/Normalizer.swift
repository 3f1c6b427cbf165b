/// What is done to the text before it is split.
package enum Normalizer: Sendable, Equatable {
    case none
    /// Unicode's canonical composition.
    case nfc

    /// The normalised text, or nil if it is the same.
    ///
    /// Composition itself comes from the standard library's `_nfcCodeUnits`: underscored, but the
    /// only source of composition data without Foundation (FoundationEssentials has none either, and
    /// own tables would be 30 KB of copied data). Text below U+0300 never changes and never gets
    /// there. Each changed stretch is normalised one character (grapheme cluster) at a time where
    /// that gives the same, so that positions can be traced back to the character.
    func normalized(_ text: UnsafeBufferPointer<UInt8>) -> NormalizedText? {
        guard self == .nfc, text.contains(where: { $0 >= 0xCC }) else { return nil }
        var result = NormalizedText()
        var (i, hasChanged) = (0, false)
        while i < text.count {
            let stretch = Self.stretch(in: text, from: i)
            if stretch.isInert {
                result.append(text[i..<stretch.end], from: i, isSame: true)
            } else {
                let part = String(decoding: text[i..<stretch.end], as: UTF8.self)
                let units = part._nfcCodeUnits
                if units.elementsEqual(text[i..<stretch.end]) {
                    result.append(text[i..<stretch.end], from: i, isSame: true)
                } else {
                    hasChanged = true
                    Self.append(part, normalizedAs: units, at: i, to: &result)
                }
            }
            i = stretch.end
        }
        return hasChanged ? result : nil
    }

    package func normalized(_ text: String) -> String {
        let bytes = Array(text.utf8).withUnsafeBufferPointer { normalized($0)?.bytes }
        return bytes.map { String(decoding: $0, as: UTF8.self) } ?? text
    }

    /// The longest stretch from `i` that is composed independently of the rest: only characters
    /// below U+0300, or one of those and all above that follow it.
    private static func stretch(
        in text: UnsafeBufferPointer<UInt8>, from i: Int
    ) -> (end: Int, isInert: Bool) {
        var j = i
        var lastStart = i
        while j < text.count, text[j] < 0xCC {
            if text[j] & 0xC0 != 0x80 { lastStart = j }
            j += 1
        }
        if j == text.count { return (j, true) }
        if lastStart > i { return (lastStart, true) }
        // Continuation bytes are below 0xC0: a new low character starts below 0xCC, but not there.
        while j < text.count, text[j] >= 0xCC || text[j] & 0xC0 == 0x80 { j += 1 }
        return (j, false)
    }

    private static func append(
        _ part: String, normalizedAs units: [UInt8], at start: Int, to result: inout NormalizedText
    ) {
        var pieces: [(source: Int, units: [UInt8])] = []
        var joined: [UInt8] = []
        var source = start
        for character in part {
            let composed = String(character)._nfcCodeUnits
            pieces.append((source, composed))
            joined += composed
            source += character.utf8.count
        }
        guard joined == units else {
            return result.append(units, from: start, isSame: false)
        }
        for piece in pieces { result.append(piece.units, from: piece.source, isSame: false) }
    }
}

/// Text and where each part of it came from.
struct NormalizedText {
    private(set) var bytes: [UInt8] = []
    /// In rising order; a part reaches to the start of the next.
    private var parts: [(position: Int, source: Int, isSame: Bool)] = []

    mutating func append(_ more: some Collection<UInt8>, from source: Int, isSame: Bool) {
        parts.append((bytes.count, source, isSame))
        bytes.append(contentsOf: more)
    }

    /// The position in the original text (of `sourceCount` bytes) of what starts (or, with `isEnd`,
    /// ends) at `position`. Inside a composed character it is that character's start (end).
    func source(of position: Int, isEnd: Bool, sourceCount: Int) -> Int {
        if position >= bytes.count { return sourceCount }
        var (low, high) = (0, parts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if parts[middle].position <= position { low = middle } else { high = middle }
        }
        let part = parts[low]
        if part.isSame { return part.source + position - part.position }
        if !isEnd || position == part.position { return part.source }
        return low + 1 < parts.count ? parts[low + 1].source : sourceCount
    }
}
