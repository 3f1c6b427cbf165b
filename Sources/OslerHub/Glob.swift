/// Patterns of paths: `*` and `?` inside a name, `**` across folders, `[abc]`, `{a,b}`.
package struct Glob: Sendable {
    private let alternatives: [[Character]]
    /// Whether `*` goes across slashes, as in `fnmatch`, which `--include` follows.
    private let crossesFolders: Bool

    package init(_ pattern: String, crossesFolders: Bool = false) {
        alternatives = Self.expanded(Array(pattern), budget: 256)
        self.crossesFolders = crossesFolders
    }

    package func matches(_ path: String) -> Bool {
        let text = Array(path)
        return alternatives.contains { match($0[...], text[...]) }
    }

    /// Braces to alternatives, the innermost last.
    private static func expanded(_ pattern: [Character], budget: Int) -> [[Character]] {
        guard let open = pattern.lastIndex(of: "{"),
            let close = pattern[open...].firstIndex(of: "}")
        else { return [pattern] }
        let parts = pattern[(open + 1)..<close].split(
            separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= budget else { return [pattern] }
        return parts.flatMap {
            expanded(
                Array(pattern[..<open]) + $0 + pattern[(close + 1)...], budget: budget / parts.count
            )
        }
    }

    /// Goes back to the last star alone, so time is the product of the lengths at most for each kind of star.
    private func match(_ pattern: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
        var (p, t) = (pattern.startIndex, text.startIndex)
        var star: (pattern: Int, text: Int)?
        // `**/` goes on at the beginning of a name alone.
        var deepStar: (pattern: Int, text: Int, atNames: Bool)?
        while true {
            if p < pattern.endIndex, pattern[p] == "*" {
                let isDeep = p + 1 < pattern.endIndex && pattern[p + 1] == "*"
                p += isDeep ? 2 : 1
                if isDeep || crossesFolders {
                    // `**/` matches no folder too.
                    if isDeep, p < pattern.endIndex, pattern[p] == "/",
                        t == text.startIndex || text[t - 1] == "/"
                    {
                        p += 1
                        deepStar = (p, t, true)
                        star = nil
                        continue
                    }
                    deepStar = (p, t, false)
                    star = nil
                } else {
                    star = (p, t)
                }
                continue
            }
            if t == text.endIndex {
                if p == pattern.endIndex { return true }
            } else if p < pattern.endIndex, let next = step(pattern, p, text[t]) {
                (p, t) = (next, t + 1)
                continue
            }
            if let last = star, last.text < text.endIndex, text[last.text] != "/" {
                star = (last.pattern, last.text + 1)
                (p, t) = (last.pattern, last.text + 1)
            } else if let last = deepStar, last.text < text.endIndex {
                var next = last.text + 1
                while last.atNames, next < text.endIndex, text[next - 1] != "/" { next += 1 }
                guard !last.atNames || text[next - 1] == "/" else { return false }
                deepStar = (last.pattern, next, last.atNames)
                star = nil
                (p, t) = (last.pattern, next)
            } else {
                return false
            }
        }
    }

    /// The pattern's place after one that matches `character`.
    private func step(_ pattern: ArraySlice<Character>, _ place: Int, _ character: Character)
        -> Int?
    {
        switch pattern[place] {
        case "?": return character != "/" || crossesFolders ? place + 1 : nil
        case "[":
            guard let close = pattern[(place + 1)...].dropFirst().firstIndex(of: "]") else {
                return character == "[" ? place + 1 : nil
            }
            var set = pattern[(place + 1)..<close]
            let isNegated = set.first == "!" || set.first == "^"
            if isNegated { set = set.dropFirst() }
            return contains(set, character) != isNegated ? close + 1 : nil
        default: return pattern[place] == character ? place + 1 : nil
        }
    }

    private func contains(_ set: ArraySlice<Character>, _ character: Character) -> Bool {
        var place = set.startIndex
        while place < set.endIndex {
            if place + 2 < set.endIndex, set[place + 1] == "-" {
                if set[place] <= character, character <= set[place + 2] { return true }
                place += 3
            } else {
                if set[place] == character { return true }
                place += 1
            }
        }
        return false
    }
}
