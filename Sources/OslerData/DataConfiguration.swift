package import OslerFormats

/// Whose rules turn rows into tokens and labels.
package enum Compatibility: String, Sendable, CaseIterable {
    /// Labels follow the roles, whatever the template and the form of the rows.
    case osler
    /// TRL 1.16's `SFTTrainer`, traps included, to compare with it.
    case trl
}

/// Which tokens are labels.
package enum LossScope: String, Sendable, CaseIterable {
    /// The last assistant turn of `messages`, or the completion column.
    case completion
    /// Every assistant turn.
    case assistant
    /// Every token.
    case all
}

/// What happens to rows that are longer than `max_length`.
package enum LengthPolicy: String, Sendable, CaseIterable {
    /// Left out, counted and printed. Unless it is named in the configuration, more than a tenth of
    /// the rows is an error.
    case drop
    case error
    /// Cut at the end: the answer and its end of turn are lost.
    case truncate
}

/// Which end of a long row TRL keeps (`truncation_mode`; `compat: trl` only).
package enum TruncationMode: String, Sendable, CaseIterable {
    case keepStart = "keep_start"
    case keepEnd = "keep_end"
}

/// The columns that a row's parts are read from.
package struct ColumnNames: Sendable, Equatable {
    package var question = "Question"
    package var reasoning = "Complex_CoT"
    package var response = "Response"
    package var messages = "messages"
    package var prompt = "prompt"
    package var completion = "completion"
    package var text = "text"

    package init() {}
}

/// How rows become examples. Fields have the names of TRL's `SFTConfig` where it has them.
package struct DataConfiguration: Sendable {
    package var compatibility = Compatibility.osler
    /// The form of the rows; nil finds it out from the columns.
    package var schema: RowSchema?
    package var columns = ColumnNames()
    /// Put before each conversation that has no system message.
    package var systemPrompt: String?
    /// nil: labels are the completion where the rows have one, as `compatibility` sees it.
    package var completionOnlyLoss: Bool?
    package var assistantOnlyLoss = false
    /// Most tokens in a row; nil is no limit.
    package var maxLength: Int? = 1024
    /// nil is `.drop` for at most a tenth of the rows.
    package var lengthPolicy: LengthPolicy?
    package var truncationMode = TruncationMode.keepStart
    package var packing = false
    package var packingStrategy = PackingStrategy.bestFitDecreasing
    package var shuffleDataset = false
    package var seed: UInt64 = 42
    /// Used in place of the tokenizer's own.
    package var eosToken: String?
    /// `chat_template_kwargs`.
    package var templateVariables: [String: JSON] = [:]
    package var threads = processorCount()

    package init() {}
}
