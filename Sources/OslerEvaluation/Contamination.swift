package import OslerFormats

/// Which evaluation items stand in the training data.
///
/// An item is set apart when its question's words, without case and punctuation, are a text of the training data, or when a
/// fifth or more of its runs of 13 words stand there (GPT-3's length, Brown et al. 2020; shorter questions are one run).
/// Questions below 5 words are only compared whole.
package struct Contamination: Sendable {
    package struct Finding: Sendable, Equatable {
        package var isWholeText: Bool
        /// Of its runs of words, how many stand in the training data.
        package var share: Double

        package init(isWholeText: Bool, share: Double) {
            (self.isWholeText, self.share) = (isWholeText, share)
        }

        package var isSetApart: Bool { isWholeText || share >= Contamination.leastShare }
    }

    package static let runLength = 13
    package static let leastShare = 0.2
    private static let shortestRun = 5

    /// Of each item.
    package let findings: [Finding]

    /// - Parameter training: every text of the training data (`texts(of:)` takes them from rows).
    package init(_ items: [EvaluationItem], training: some Sequence<String>) {
        var questions: [UInt64: [Int]] = [:]
        // By length of run: which items' runs have the hash.
        var runs: [Int: [UInt64: [Int]]] = [:]
        var runCounts = [Int](repeating: 0, count: items.count)
        for (index, item) in items.enumerated() {
            for question in Set([item.question, item.demonstration?.question ?? item.question]) {
                let words = hashedWords(question)
                if !words.isEmpty { questions[Self.hash(words[...]), default: []].append(index) }
                let length = min(Self.runLength, words.count)
                guard length >= Self.shortestRun, question == item.question else { continue }
                let own = Set(Self.hashes(words, length))
                runCounts[index] = own.count
                for hash in own { runs[length, default: [:]][hash, default: []].append(index) }
            }
        }
        var whole = Set<Int>()
        var found: [Int: Set<UInt64>] = [:]
        for text in training {
            let words = hashedWords(text)
            if !words.isEmpty { whole.formUnion(questions[Self.hash(words[...])] ?? []) }
            for (length, known) in runs {
                for hash in Self.hashes(words, length) where known[hash] != nil {
                    found[length, default: []].insert(hash)
                }
            }
        }
        var foundCounts = [Int](repeating: 0, count: items.count)
        for (length, hashes) in found {
            for hash in hashes {
                for index in runs[length]?[hash] ?? [] { foundCounts[index] += 1 }
            }
        }
        findings = items.indices.map {
            Finding(
                isWholeText: whole.contains($0),
                share: runCounts[$0] == 0 ? 0 : Double(foundCounts[$0]) / Double(runCounts[$0]))
        }
    }

    /// Every text in rows of any form.
    package static func texts(of rows: [JSON.Object]) -> some Sequence<String> {
        rows.lazy.flatMap { texts(of: .object($0)) }
    }

    private static func texts(of value: JSON) -> [String] {
        switch value {
        case .string(let text): [text]
        case .array(let items): items.flatMap(texts)
        case .object(let object): object.values.flatMap(texts)
        default: []
        }
    }

    private static func hash(_ words: ArraySlice<UInt64>) -> UInt64 {
        words.reduce(0xcbf2_9ce4_8422_2325) { hash, word in
            let mixed = (hash ^ word) &* 0x9e37_79b9_7f4a_7c15
            return mixed ^ mixed >> 29
        }
    }

    private static func hashes(_ words: [UInt64], _ length: Int) -> [UInt64] {
        guard words.count >= length else { return [] }
        return (0...words.count - length).map { hash(words[$0..<$0 + length]) }
    }
}

/// A hash of each word, without case and punctuation.
private func hashedWords(_ text: String) -> [UInt64] {
    var words: [UInt64] = []
    var (hash, isInside): (UInt64, Bool) = (0xcbf2_9ce4_8422_2325, false)
    func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    for scalar in text.unicodeScalars {
        if scalar.isASCII {
            switch scalar {
            case "a"..."z", "0"..."9":
                add(UInt8(scalar.value))
                isInside = true
                continue
            case "A"..."Z":
                add(UInt8(scalar.value) + 32)
                isInside = true
                continue
            default: break
            }
        } else if scalar.properties.isAlphabetic || scalar.properties.numericType != nil {
            for byte in scalar.properties.lowercaseMapping.utf8 { add(byte) }
            isInside = true
            continue
        }
        if isInside { words.append(hash) }
        (hash, isInside) = (0xcbf2_9ce4_8422_2325, false)
    }
    if isInside { words.append(hash) }
    return words
}
