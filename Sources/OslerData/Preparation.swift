package import OslerFormats
internal import OslerTokenizers

/// A data set ready to train on or to evaluate with.
package struct PreparedDataset: Sendable {
    /// `train`, `eval`, `test`.
    package var name: String
    package var file: String
    package var schema: RowSchema
    /// The source rows in their order, and what they hold.
    package var rows: [Int]
    package var records: [Record]
    /// Sizes of each source row, before the length policy.
    package var shapes: [RowShape]
    /// The rows that are left.
    package var examples: [Example]
    /// What is shuffled and batched: the examples, several in one where they are packed.
    package var units: [[Example]]
    package var length: LengthOutcome
    /// Rows with no token to predict.
    package var zeroTargetRows: [Int]
    /// Rows whose assistant text the shipped chat template would have changed.
    package var templateChangedRows: [Int]
    /// Rows of multiple choice whose answer is not the option that they name.
    package var optionConflicts: [OptionConflict] = []
    /// What forbids training, in the order of importance.
    package var problems: [InputError]

    /// Tokens that are left.
    package var tokenCount: Int { examples.reduce(0) { $0 + $1.ids.count } }
    /// Labels that are left.
    package var targetCount: Int { examples.reduce(0) { $0 + $1.targetCount } }

    /// The units with these indices in one flattened batch.
    package func microBatch(_ indices: some Sequence<Int>) -> MicroBatch {
        MicroBatch(indices.lazy.flatMap { units[$0] })
    }
}

/// The sizes of a tokenized row.
package struct RowShape: Sendable, Equatable {
    package var tokenCount: Int
    /// The first token that is predicted; nil if none is.
    package var firstLabel: Int?

    init(_ example: Example) {
        tokenCount = example.ids.count
        firstLabel = example.lossMask.indices.dropFirst().first { example.lossMask[$0] }
    }
}

/// Turns rows into examples: records, tokens and labels, length policy, packing.
package struct DataPreparation: Sendable {
    package let context: ChatContext
    package let configuration: DataConfiguration

    package init(_ context: ChatContext, _ configuration: DataConfiguration) {
        (self.context, self.configuration) = (context, configuration)
    }

    /// - Parameters:
    ///   - rows: which rows of `dataset`, in which order; nil is all.
    ///   - name: of the split, for reports.
    /// - Throws: `InputError` for a row that can't be read or rendered. Data that can be read but
    ///   not trained on is in
    ///   `problems` instead, so that a report can show it.
    package func prepare(
        _ dataset: Dataset, rows: [Int]? = nil, name: String = "train"
    ) throws -> PreparedDataset {
        try checkPacking()
        let reader = try RecordReader(dataset, configuration)
        let rows = rows ?? Array(dataset.rows.indices)
        let rowTokenizer = try RowTokenizer(context, configuration, schema: reader.schema)
        let tokenized = try parallelMap(count: rows.count, threads: configuration.threads) {
            index in
            let row = rows[index]
            let record = try reader.record(dataset.rows[row], at: row)
            do {
                return (record, try rowTokenizer.tokenize(record, row: row))
            } catch let error as InputError {
                throw error.atRow(row, file: dataset.file)
            }
        }
        let examples = tokenized.map { $0.1.example }
        let (kept, outcome) = applyLengthPolicy(examples, configuration)
        var prepared = PreparedDataset(
            name: name, file: dataset.file, schema: reader.schema, rows: rows,
            records: tokenized.map { $0.0 }, shapes: examples.map(RowShape.init),
            examples: kept, units: units(kept), length: outcome,
            zeroTargetRows: kept.filter { $0.targetCount == 0 }.map(\.row),
            templateChangedRows: tokenized.filter { $0.1.templateChangesText }
                .map { $0.1.example.row },
            problems: [])
        prepared.optionConflicts = zip(rows, prepared.records).compactMap { row, record in
            OptionConflict(dataset.rows[row], response: record.answerText, row: row)
        }
        prepared.problems = problems(prepared)
        return prepared
    }

    private func checkPacking() throws {
        guard configuration.packing else { return }
        if configuration.maxLength == nil {
            throw InputError(
                "packing needs a length", field: "max_length", remedy: "set max_length")
        }
        if configuration.packingStrategy == .wrapped, configuration.compatibility == .osler {
            throw InputError(
                "'wrapped' joins rows without a border, so that each sees the ones before it",
                field: "packing_strategy", remedy: "use bfd, or compat: trl")
        }
    }

    private func units(_ examples: [Example]) -> [[Example]] {
        let isTRL = configuration.compatibility == .trl
        let shuffles = configuration.shuffleDataset
        guard configuration.packing, let maxLength = configuration.maxLength else {
            return shuffled(examples.map { [$0] }, shuffles)
        }
        let inOrder = shuffled(examples, isTRL && shuffles)
        // TRL packs in `datasets.map(batched=True)`, whose batches have 1000 rows.
        let packs = pack(
            lengths: inOrder.map(\.ids.count), maxLength: maxLength,
            strategy: configuration.packingStrategy, chunk: isTRL ? 1000 : nil)
        let units = packs.map { pieces in
            let parts = pieces.map { inOrder[$0.row].slice($0.range) }
            return configuration.packingStrategy == .wrapped ? [Example(joining: parts)] : parts
        }
        return shuffled(units, shuffles)
    }

    /// `datasets.Dataset.shuffle(seed)`.
    private func shuffled<Element>(_ elements: [Element], _ isOn: Bool) -> [Element] {
        guard isOn else { return elements }
        var generator = NumPyGenerator(seed: configuration.seed)
        return generator.permutation(elements.count).map { elements[$0] }
    }

    private func problems(_ prepared: PreparedDataset) -> [InputError] {
        var problems: [InputError] = []
        if let problem = prepared.length.problem(file: prepared.file) { problems.append(problem) }
        if prepared.targetCount == 0 {
            problems.append(
                InputError(
                    "the \(prepared.name) data has no token in the loss"
                        + " (\(prepared.rows.count) rows, \(prepared.examples.count) left)",
                    file: prepared.file,
                    remedy: "raise max_length, or check the columns and completion_only_loss"))
        } else if let row = prepared.zeroTargetRows.first, configuration.compatibility == .osler {
            let listed = prepared.zeroTargetRows.prefix(10).map(String.init)
            let more = prepared.zeroTargetRows.count > 10 ? ", ..." : ""
            problems.append(
                InputError(
                    "\(prepared.zeroTargetRows.count) rows have no token in the loss: "
                        + listed.joined(separator: ", ") + more, file: prepared.file,
                    field: "row \(row)", remedy: "leave them out of the data"))
        }
        return problems
    }
}

/// One row to tokens and labels, by the rules that the configuration names.
struct RowTokenizer: Sendable {
    private let context: ChatContext
    private let scope: LossScope
    private let roles: RoleLabels
    private let trl: TRLLabels?

    init(_ context: ChatContext, _ configuration: DataConfiguration, schema: RowSchema) throws {
        self.context = context
        scope = try LossScope(configuration, schema: schema)
        roles = RoleLabels(context: context, scope: scope)
        trl =
            configuration.compatibility == .trl
            ? try TRLLabels(context, configuration, schema: schema) : nil
    }

    func tokenize(
        _ record: Record, row: Int
    ) throws -> (example: Example, templateChangesText: Bool) {
        if case .tokens(let ids, _, _) = record, let last = ids.max(),
            last >= context.tokenizer.vocabularySize
        {
            throw InputError(
                "\(last) is no token id, the tokenizer has \(context.tokenizer.vocabularySize)",
                field: "input_ids", remedy: "tokenize with this model's tokenizer")
        }
        if let trl { return (try trl.example(record, row: row), false) }
        if case .tokens(let ids, let completionMask, let labels) = record {
            let all = Array(repeating: true, count: ids.count)
            let mask = labels ?? (scope == .all ? nil : completionMask) ?? all
            return (Example(ids: ids, lossMask: mask, row: row), false)
        }
        let text = try roles.labelledText(record)
        let isPlain =
            switch record {
            case .text, .plainPromptCompletion: true
            default: false
            }
        let example = context.example(text, scope: scope, row: row, bos: isPlain)
        return (example, text.templateChangesText)
    }
}

extension LossScope {
    /// - Throws: `InputError` where labels are asked for that rows of this form don't have.
    init(_ configuration: DataConfiguration, schema: RowSchema) throws {
        let isPlain = schema == .text || schema == .tokens
        if isPlain, configuration.assistantOnlyLoss {
            throw InputError(
                "rows of \(schema.rawValue) have no assistant", field: "assistant_only_loss",
                remedy: "give messages, or leave it out")
        }
        if configuration.compatibility == .osler, schema == .text,
            configuration.completionOnlyLoss == true
        {
            throw InputError(
                "plain text has no completion", field: "completion_only_loss",
                remedy: "give prompt and completion, or messages, or leave it out")
        }
        if configuration.assistantOnlyLoss {
            self = .assistant
        } else if schema == .text || configuration.completionOnlyLoss == false {
            self = .all
        } else {
            self = .completion
        }
    }
}

extension Example {
    /// One sequence out of several.
    init(joining parts: [Example]) {
        self.init(
            ids: parts.flatMap(\.ids), lossMask: parts.flatMap(\.lossMask),
            row: parts.first?.row ?? 0)
    }
}

extension InputError {
    /// The same fault, found at a row of a data file. A chat template's name and line stay.
    func atRow(_ row: Int, file: String) -> InputError {
        var error = self
        let place = ["row \(row)", self.file, field].compactMap { $0 }
        (error.file, error.field) = (file, place.joined(separator: ": "))
        return error
    }
}
