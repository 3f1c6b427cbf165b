package import OslerTokenizers

/// A context and its continuation as the token ids that EleutherAI's lm-evaluation-harness (0.4.13) gives a causal model.
package struct HarnessTokens: Sendable, Equatable {
    /// At most as many as the model has positions, and one more: the last token is not read.
    package var ids: [Int32]
    /// How many of them are context.
    package var known: Int

    /// - Parameter continuation: without the delimiter, a space, which the harness puts between.
    package init(
        context: String, continuation: String, tokenizer: Tokenizer, maxPositions: Int
    ) {
        var context = context[...]
        var continuation = " " + continuation
        // White space at the context's end belongs to the continuation's first token.
        while let last = context.last, last.isWhitespace {
            continuation = String(last) + continuation
            context.removeLast()
        }
        let whole = Self.encode(context + continuation, tokenizer)
        let known = Self.encode(String(context), tokenizer).count
        // The context is cut at its beginning.
        let ids = whole.suffix(maxPositions + 1)
        (self.ids, self.known) = (Array(ids), known - (whole.count - ids.count))
    }

    /// With the special tokens that the tokenizer adds, unless the text begins with one.
    private static func encode(_ text: some StringProtocol, _ tokenizer: Tokenizer) -> [Int32] {
        let prefix = (tokenizer.bosToken ?? tokenizer.eosToken)?.text
        return tokenizer.encode(
            String(text), addSpecialTokens: prefix.map { !text.hasPrefix($0) } ?? true)
    }
}

extension HarnessTokens {
    /// Places of the most probable option: by sum, by sum a character, by sum a byte of its text.
    package static func choices(
        logLikelihoods: [Double], texts: [String]
    ) -> (sum: Int, perCharacter: Int, perByte: Int) {
        // Python's characters are code points; of equals the first counts.
        func best(_ length: (String) -> Int) -> Int {
            let values = zip(logLikelihoods, texts).map { $0 / Double(length($1)) }
            return values.indices.max {
                values[$0] < values[$1] || $0 > $1 && values[$0] == values[$1]
            }
                ?? 0
        }
        return (best { _ in 1 }, best(\.unicodeScalars.count), best(\.utf8.count))
    }
}
