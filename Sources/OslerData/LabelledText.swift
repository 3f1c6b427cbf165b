internal import OslerTokenizers

/// A row's text in pieces, each of which is tokenized alone: inference tokenizes the prompt alone
/// too, so the model learns to go on from exactly the tokens that it will see.
struct LabelledText: Sendable, Equatable {
    enum Role: Sendable {
        /// Given to the model.
        case context
        /// Written by the model.
        case target
        /// What the template writes after the model's text: labels up to the token that ends the
        /// turn, which EOS stands in for where the template has none.
        case ending
    }

    struct Piece: Sendable, Equatable {
        var role: Role
        var text: String
    }

    var pieces: [Piece] = []
    /// The shipped template would have changed the assistant's text.
    var templateChangesText = false

    mutating func append(_ role: Role, _ text: String) {
        pieces.append(Piece(role: role, text: text))
    }
}

extension ChatContext {
    /// Ids and labels of `text`. Labels are the targets and the ends of their turns, or everything
    /// with `scope` `.all`.
    func example(_ text: LabelledText, scope: LossScope, row: Int, bos: Bool) -> Example {
        var ids: [Int32] = []
        var mask: [Bool] = []
        for (index, piece) in text.pieces.enumerated() {
            var new = index == 0 && bos ? encodeWithBOS(piece.text) : tokenizer.encode(piece.text)
            var labels = 0
            switch piece.role {
            case .context: labels = 0
            case .target: labels = new.count
            case .ending:
                if let stop = new.firstIndex(where: isStop) {
                    labels = stop + 1
                } else {
                    if let eosToken { new.append(eosToken.id) }
                    labels = new.count
                }
            }
            ids += new
            mask += (0..<new.count).map { scope == .all || $0 < labels }
        }
        return Example(ids: ids, lossMask: mask, row: row)
    }
}
