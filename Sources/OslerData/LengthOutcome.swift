internal import OslerFormats

/// What a length policy did to the rows, or would do.
package struct LengthOutcome: Sendable, Equatable {
    package var policy: LengthPolicy
    /// Named in the configuration, not the default.
    package var isExplicit: Bool
    package var maxLength: Int?
    package var rowCount: Int
    /// Rows longer than `maxLength`.
    package var tooLong: [Int]
    /// Rows left out for their length.
    package var dropped: [Int]
    /// Rows cut.
    package var truncated: [Int]
    /// Rows left out because the cut took all of their labels.
    package var emptied: [Int]
    /// Tokens that were left out or cut off.
    package var lostTokens: Int

    /// The share of rows that may be dropped without the policy being named.
    package static let silentShare = 0.1

    package var droppedShare: Double {
        rowCount == 0 ? 0 : Double(dropped.count) / Double(rowCount)
    }
}

/// Applies a length policy to tokenized rows.
///
/// - Parameter keepsPacked: packing cuts rows itself (`compat: trl`); nothing is done here.
/// - Returns: the rows that are left, and what was done.
func applyLengthPolicy(
    _ examples: [Example], _ configuration: DataConfiguration
) -> (kept: [Example], outcome: LengthOutcome) {
    let isTRL = configuration.compatibility == .trl
    let policy = isTRL ? .truncate : configuration.lengthPolicy ?? .drop
    var outcome = LengthOutcome(
        policy: policy, isExplicit: isTRL || configuration.lengthPolicy != nil,
        maxLength: configuration.maxLength, rowCount: examples.count, tooLong: [], dropped: [],
        truncated: [], emptied: [], lostTokens: 0)
    guard let limit = configuration.maxLength else { return (examples, outcome) }
    outcome.tooLong = examples.filter { $0.ids.count > limit }.map(\.row)
    let isCutByPacking = isTRL && configuration.packing
    if isCutByPacking || policy == .error { return (examples, outcome) }
    var kept: [Example] = []
    for example in examples {
        let excess = example.ids.count - limit
        if excess > 0 && policy == .drop {
            outcome.dropped.append(example.row)
            outcome.lostTokens += example.ids.count
            continue
        }
        var example = example
        if excess > 0 {
            let fromStart = !isTRL || configuration.truncationMode == .keepStart
            example = example.slice(fromStart ? 0..<limit : excess..<example.ids.count)
            outcome.truncated.append(example.row)
            outcome.lostTokens += excess
        }
        // TRL drops every row without a label here; natively only the cut's own victims go, others
        // are an error.
        let isEmptied = isTRL ? !example.lossMask.contains(true) : example.targetCount == 0
        if isEmptied && (isTRL || excess > 0) {
            outcome.emptied.append(example.row)
        } else {
            kept.append(example)
        }
    }
    return (kept, outcome)
}

extension LengthOutcome {
    /// What stops the run: rows too long under `error`, or too many rows dropped by default.
    func problem(file: String) -> InputError? {
        guard let maxLength else { return nil }
        if policy == .error, let row = tooLong.first {
            return InputError(
                "\(tooLong.count) rows are longer than max_length \(maxLength)", file: file,
                field: "row \(row)",
                remedy: "raise max_length, or set length_policy to drop or truncate")
        }
        if policy == .drop, !isExplicit, droppedShare > LengthOutcome.silentShare {
            return InputError(
                "\(dropped.count) of \(rowCount) rows are longer than max_length \(maxLength)",
                file: file, field: "max_length",
                remedy: "raise max_length, or set length_policy: drop (or truncate) to accept it")
        }
        return nil
    }
}
