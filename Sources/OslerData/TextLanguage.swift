/// The language of a text, by its script, and among those in Latin letters by their commonest words. A guess that finds
/// rows which don't belong, not a classifier.
enum TextLanguage {
    /// An ISO 639-1 code; nil for texts too short to tell.
    static func guess(_ text: String) -> String? {
        var counts: [String: Int] = [:]
        var words: [String: Int] = [:]
        var word = ""
        func endWord() {
            if let languages = stopWords[word] {
                for language in languages { words[language, default: 0] += 1 }
            }
            word.removeAll(keepingCapacity: true)
        }
        for scalar in text.unicodeScalars {
            guard let script = script(scalar.value) else {
                if !word.isEmpty { endWord() }
                continue
            }
            counts[script, default: 0] += 1
            if script == "latin" { word.unicodeScalars.append(small(scalar)) }
        }
        if !word.isEmpty { endWord() }
        // A syllable or a word stands in one character there.
        let weighted = counts.map {
            (script: $0.key, weight: $0.value * (dense.contains($0.key) ? 3 : 1))
        }
        guard let most = weighted.max(by: { ($0.weight, $1.script) < ($1.weight, $0.script) }),
            most.weight >= 40
        else { return nil }
        // Chinese characters with a tenth of kana are Japanese.
        if most.script == "zh", counts["ja", default: 0] * 10 > counts["zh", default: 0] {
            return "ja"
        }
        guard most.script == "latin" else { return most.script }
        let ranked = words.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
        guard let first = ranked.first, first.value >= 3 else { return nil }
        let second = ranked.dropFirst().first?.value ?? 0
        return first.value > second ? first.key : nil
    }

    private static let dense: Set<String> = ["zh", "ja", "ko"]

    private static func small(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        scalar.value >= 0x41 && scalar.value <= 0x5A
            ? Unicode.Scalar(scalar.value | 0x20) ?? scalar : scalar
    }

    /// The script, by the name of its language where it has but one.
    private static func script(_ value: UInt32) -> String? {
        switch value {
        case 0x41...0x5A, 0x61...0x7A, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x24F: "latin"
        case 0x370...0x3FF: "el"
        case 0x400...0x52F: "ru"
        case 0x590...0x5FF: "he"
        case 0x600...0x6FF, 0x750...0x77F: "ar"
        case 0x900...0x97F: "hi"
        case 0xE00...0xE7F: "th"
        case 0x3040...0x30FF: "ja"
        case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0x20000...0x2FFFF: "zh"
        case 0x1100...0x11FF, 0xAC00...0xD7A3: "ko"
        default: nil
        }
    }

    private static let stopWords: [String: [String]] = {
        let lists = [
            "en": "the of and to in is that with for was which this are from be patient he she",
            "de": "der die das und ist mit von zu den nicht ein eine bei auf im dem des wird",
            "fr": "le les des et est une dans pour qui que pas sur du au avec par il elle",
            "es": "el los las y que en por con una del se para es su al como más",
            "it": "il che di e una per con del della è non gli nel le si più sono",
            "pt": "o os que e do da em um uma com não para por ao dos das mais",
            "nl": "de het een en van is dat met voor niet op zijn bij aan wordt te",
        ]
        var table: [String: [String]] = [:]
        for (language, words) in lists {
            for word in words.split(separator: " ") {
                table[String(word), default: []].append(language)
            }
        }
        return table
    }()
}
