/// The checks before any training: that the labels are what they should be, on every row.
package enum Preflight {
    /// Proves, for every row that is left: the assistant's text survives byte for byte, the
    /// inference prompt is a token prefix, BOS stands once, the end of the turn is in the loss.
    /// Counts lengths, losses and duplicates.
    ///
    /// - Parameter splits: prepared by `preparation`; the first is the one to train on.
    /// - Throws: `InputError` only where a row can't be rendered. What forbids training is in the
    ///   report, and thrown
    ///   by its `check()`. Under `compat: trl` broken proofs are warnings: they are TRL's ways.
    package static func run(
        _ splits: [PreparedDataset], _ preparation: DataPreparation
    ) throws -> PreflightReport {
        let configuration = preparation.configuration
        var report = PreflightReport(
            compatibility: configuration.compatibility,
            splits: try splits.map { try inspect($0, preparation) },
            duplicates: Duplicates(splits), sample: nil, failures: [], warnings: [])
        if let first = splits.first?.examples.first {
            report.sample = LossMaskSample(first, preparation.context)
        }
        for split in splits { report.failures += split.problems }
        for split in report.splits {
            for broken in split.brokenProofs {
                let error = broken.first.error(file: split.file)
                if configuration.compatibility == .osler {
                    report.failures.append(error)
                } else {
                    report.warnings.append("\(broken.count) rows of \(split.name): \(error)")
                }
            }
        }
        report.warnings += warnings(report, splits, configuration)
        return report
    }

    private static func inspect(
        _ split: PreparedDataset, _ preparation: DataPreparation
    ) throws -> SplitReport {
        let configuration = preparation.configuration
        let proofs = Proofs(
            context: preparation.context, loss: try LossScope(configuration, schema: split.schema))
        let recordIndex = Dictionary(
            zip(split.rows, split.records.indices), uniquingKeysWith: { first, _ in first })
        let cut = Set(split.length.truncated)
        let found = try parallelMap(
            count: split.examples.count, threads: configuration.threads
        ) { index in
            let example = split.examples[index]
            guard let record = recordIndex[example.row] else { return [ProofFailure]() }
            let failures = try proofs.failures(example, of: split.records[record])
            // A cut row has lost its end by the user's own choice, which the report counts.
            return cut.contains(example.row)
                ? failures.filter { $0.kind == .promptPrefix || $0.kind == .beginning } : failures
        }.flatMap { $0 }
        return SplitReport(split, found, limit: configuration.maxLength)
    }

    private static func warnings(
        _ report: PreflightReport, _ splits: [PreparedDataset], _ configuration: DataConfiguration
    ) -> [String] {
        var warnings: [String] = []
        if configuration.compatibility == .trl, configuration.completionOnlyLoss == true,
            splits.contains(where: { $0.schema == .messages || $0.schema == .reasoning })
        {
            warnings.append(
                "TRL ignores completion_only_loss on messages: every token is in the loss")
        }
        for split in splits where !split.templateChangedRows.isEmpty {
            warnings.append(
                "\(split.name): the shipped chat template would change the assistant's text of "
                    + "\(split.templateChangedRows.count) rows (first row "
                    + "\(split.templateChangedRows[0])); Osler trains on the text as it is")
        }
        for split in splits {
            if let rows = report.duplicates.within[split.name] {
                warnings.append("\(split.name): \(rows.count) rows occur more than once")
            }
            if let rows = report.duplicates.acrossSplits[split.name] {
                warnings.append("\(split.name): \(rows.count) rows also stand in an earlier split")
            }
            if let rows = report.duplicates.promptsAcrossSplits[split.name] {
                warnings.append(
                    "\(split.name): \(rows.count) rows have a prompt that an earlier split has too")
            }
        }
        return warnings
    }
}
