internal import OslerTokenizers

/// A row's text with the tokens in the loss set apart.
package struct LossMaskSample: Sendable, Equatable {
    package struct Run: Sendable, Equatable {
        package var text: String
        package var isInLoss: Bool
    }

    package var row: Int
    package var runs: [Run]

    package init(_ example: Example, _ context: ChatContext) {
        row = example.row
        runs = []
        var start = 0
        while start < example.ids.count {
            let isInLoss = example.lossMask[start] && start > 0
            var end = start + 1
            while end < example.ids.count, example.lossMask[end] == isInLoss { end += 1 }
            let text = context.tokenizer.decode(Array(example.ids[start..<end]))
            runs.append(Run(text: text, isInLoss: isInLoss))
            start = end
        }
    }

    /// Coloured for a terminal (green in the loss, dim not), else with `⟦` and `⟧` around what is
    /// in the loss.
    package func text(colour: Bool) -> String {
        runs.map { run in
            if colour { return "\u{1B}[\(run.isInLoss ? 32 : 2)m\(run.text)\u{1B}[0m" }
            return run.isInLoss ? "⟦\(run.text)⟧" : run.text
        }.joined()
    }
}
