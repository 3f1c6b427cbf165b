package import OslerFormats

extension PreflightReport {
    /// The report for programs.
    package var json: JSON {
        object([
            ("passed", .bool(failures.isEmpty)),
            ("compat", .string(compatibility.rawValue)),
            ("splits", .array(splits.map(\.json))),
            (
                "duplicates",
                object([
                    ("within", rows(duplicates.within)),
                    ("across_splits", rows(duplicates.acrossSplits)),
                    ("prompts_across_splits", rows(duplicates.promptsAcrossSplits)),
                ])
            ),
            ("care", care?.json ?? .null),
            ("sample", sample?.json ?? .null),
            ("warnings", .array(warnings.map(JSON.string))),
            ("failures", .array(failures.map(\.json))),
        ])
    }

    private func rows(_ bySplit: [String: [Int]]) -> JSON {
        object(splits.compactMap { split in bySplit[split.name].map { (split.name, list($0)) } })
    }
}

extension SplitReport {
    fileprivate var json: JSON {
        object([
            ("name", .string(name)), ("file", .string(file)), ("schema", .string(schema.rawValue)),
            ("rows", .integer(rowCount)), ("rows_left", .integer(keptRows)),
            ("units", .integer(units)), ("tokens", .integer(tokenCount)),
            ("tokens_in_loss", .integer(targetCount)), ("share_in_loss", .number(targetShare)),
            ("lengths", histogram.json), ("length_policy", length.json),
            (
                "policies",
                .array(
                    effects.map {
                        object([
                            ("policy", .string($0.policy.rawValue)), ("rows", .integer($0.rows)),
                            ("lost_tokens", .integer($0.lostTokens)),
                            ("rows_without_label", .integer($0.emptied)),
                        ])
                    })
            ),
            ("zero_target_rows", list(zeroTargetRows)),
            ("template_changes_rows", list(templateChangedRows)),
            ("proofs", object(ProofFailure.Kind.allCases.map { ($0.rawValue, proof($0)) })),
        ])
    }

    private func proof(_ kind: ProofFailure.Kind) -> JSON {
        guard let broken = brokenProofs.first(where: { $0.first.kind == kind }) else {
            return object([("holds", .bool(true))])
        }
        return object([
            ("holds", .bool(false)), ("rows", .integer(broken.count)),
            ("first_row", .integer(broken.first.row)),
            ("expected", .string(broken.first.expected)), ("found", .string(broken.first.found)),
            ("remedy", .string(broken.first.remedy)),
        ])
    }
}

extension LengthHistogram {
    fileprivate var json: JSON {
        object([
            ("shortest", .integer(shortest)), ("median", .integer(median)),
            ("percentile_95", .integer(percentile95)), ("longest", .integer(longest)),
            ("mean", .number(mean)),
            (
                "histogram",
                .array(
                    bars.map {
                        object([
                            ("from", .integer($0.range.lowerBound)),
                            ("below", .integer($0.range.upperBound)), ("rows", .integer($0.count)),
                        ])
                    })
            ),
        ])
    }
}

extension LengthOutcome {
    fileprivate var json: JSON {
        object([
            ("policy", .string(policy.rawValue)), ("named", .bool(isExplicit)),
            ("max_length", maxLength.map(JSON.integer) ?? .null), ("too_long", list(tooLong)),
            ("dropped", list(dropped)), ("truncated", list(truncated)),
            ("without_label", list(emptied)), ("lost_tokens", .integer(lostTokens)),
        ])
    }
}

extension LossMaskSample {
    fileprivate var json: JSON {
        object([
            ("row", .integer(row)),
            (
                "runs",
                .array(
                    runs.map {
                        object([("text", .string($0.text)), ("in_loss", .bool($0.isInLoss))])
                    })
            ),
        ])
    }
}

extension InputError {
    fileprivate var json: JSON {
        object([
            ("file", file.map(JSON.string) ?? .null), ("field", field.map(JSON.string) ?? .null),
            ("problem", .string(problem)), ("remedy", remedy.map(JSON.string) ?? .null),
        ])
    }
}

private func object(_ pairs: [(String, JSON)]) -> JSON { .object(JSON.Object(pairs)) }
private func list(_ rows: [Int]) -> JSON { .array(rows.map(JSON.integer)) }
