internal import OslerFormats

/// Rows that occur more than once, by a hash of their text in lower case with runs of white space
/// as one space.
package struct Duplicates: Sendable, Equatable {
    /// The same row in one split: the later ones, by split.
    package var within: [String: [Int]] = [:]
    /// Rows that an earlier split already has, by the later split: training data in the evaluation.
    package var acrossSplits: [String: [Int]] = [:]
    /// Rows whose prompt an earlier split already has with another answer, by the later split.
    package var promptsAcrossSplits: [String: [Int]] = [:]

    package init(_ splits: [PreparedDataset]) {
        var seenBefore: Set<TextHash> = []
        var promptsBefore: Set<TextHash> = []
        for split in splits {
            var seen: Set<TextHash> = []
            var prompts: Set<TextHash> = []
            for (row, record) in zip(split.rows, split.records) {
                let hash = TextHash(record.texts)
                let prompt = record.promptTexts.map(TextHash.init)
                if !seen.insert(hash).inserted { within[split.name, default: []].append(row) }
                if seenBefore.contains(hash) {
                    acrossSplits[split.name, default: []].append(row)
                } else if let prompt, promptsBefore.contains(prompt) {
                    promptsAcrossSplits[split.name, default: []].append(row)
                }
                if let prompt { prompts.insert(prompt) }
            }
            seenBefore.formUnion(seen)
            promptsBefore.formUnion(prompts)
        }
    }
}

/// A hash of texts that sees neither case nor the amount of white space.
private struct TextHash: Hashable {
    private var hash = StableHash()

    init(_ texts: [String]) {
        for text in texts {
            var isAfterSpace = true
            for character in text.lowercased() {
                if character.isWhitespace {
                    if !isAfterSpace { add(0x20) }
                    isAfterSpace = true
                } else {
                    for byte in character.utf8 { add(byte) }
                    isAfterSpace = false
                }
            }
            if isAfterSpace, !text.isEmpty { add(0) } else { add(0x20); add(0) }
        }
    }

    private mutating func add(_ byte: UInt8) { hash.add(UInt64(byte)) }
}

extension Record {
    /// Everything that a row says, for comparing rows.
    var texts: [String] {
        switch self {
        case .messages(let messages): messages.map(\.messageText)
        case .promptCompletion(let prompt, let completion):
            (prompt + completion).map(\.messageText)
        case .plainPromptCompletion(let prompt, let completion): [prompt, completion]
        case .text(let text): [text]
        case .tokens(let ids, _, _): [ids.map(String.init).joined(separator: " ")]
        }
    }

    /// What the model is asked; nil where the row doesn't say.
    var promptTexts: [String]? {
        switch self {
        case .messages(let messages):
            messages.lastIndex { $0["role"]?.string == "assistant" }
                .map { messages[..<$0].map(\.messageText) }
        case .promptCompletion(let prompt, _): prompt.map(\.messageText)
        case .plainPromptCompletion(let prompt, _): [prompt]
        case .text, .tokens: nil
        }
    }
}

extension JSON {
    fileprivate var messageText: String {
        (self["role"]?.string ?? "") + ":" + (self["content"]?.string ?? "")
    }
}
