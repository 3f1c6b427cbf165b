internal import OslerCompute

extension ConformanceCase {
    static var losses: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for kind in [LossKind.nll, .dft] {
            for (rows, width, vocabulary) in [
                (1, 1, 2), (15, 17, 33), (17, 64, 1000), (70, 33, 257),
            ] {
                for form in MatrixForm.allCases {
                    cases.append(loss(kind, rows, width, vocabulary, form))
                }
            }
            cases.append(loss(kind, 9, 40, 129, .bfloat16, scale: 30))
        }
        cases += [evaluation, ties]
        return cases
    }

    private static func loss(
        _ kind: LossKind, _ rows: Int, _ width: Int, _ vocabulary: Int, _ form: MatrixForm,
        scale: Float = 1
    ) -> ConformanceCase {
        let detail = "\(kind.rawValue) [\(rows), \(width)] of \(vocabulary) \(form.rawValue)"
        return ConformanceCase(.linearCrossEntropy, detail + " x \(scale)") { run in
            let hidden = try run.normal(run.activation, [rows, width], scale: scale)
            let head = try run.matrix(form, vocabulary, width, scale: 0.3)
            let targets = try run.indices(rows, below: vocabulary)
            let gradient = try run.output(.float32, [rows, width])
            try run.recordLoss(hidden, head, targets, kind, gradient)
            try run.record("gradient", gradient)
        }
    }

    private static var evaluation: ConformanceCase {
        ConformanceCase(.linearCrossEntropy, "without gradient") { run in
            let hidden = try run.normal(run.activation, [20, 31])
            let head = try run.matrix(.bfloat16, 400, 31)
            let targets = try run.indices(20, below: 400)
            try run.recordLoss(hidden, head, targets, .nll, nil)
        }
    }

    /// Token 40 has the same logit as token 3 and both are the largest: only token 3 is at the top.
    private static var ties: ConformanceCase {
        ConformanceCase(.linearCrossEntropy, "two largest logits") { run in
            let head = (0..<50 * 8).map { Float([3, 40].contains($0 / 8) ? 1 : 0.25) }
            let hidden = try run.tensor([Float](repeating: 1, count: 16), run.activation, [2, 8])
            let targets = try run.integers([3, 40])
            try run.recordLoss(hidden, .dense(try run.tensor(head, [50, 8])), targets, .nll, nil)
        }
    }
}

extension ConformanceRun {
    func recordLoss(
        _ hidden: Tensor, _ head: FrozenMatrix, _ targets: Tensor, _ kind: LossKind,
        _ gradient: Tensor?
    ) throws {
        let rows = hidden.rowCount
        let logs = try output(.float32, [rows])
        let (entropies, tops) = (try output(.float32, [rows]), try output(.float32, [rows]))
        // Backends may use what they asked for, not a byte more, at an allocation's alignment.
        let bytes = backend.linearCrossEntropyWorkspace(
            rows: rows, width: hidden.columns, vocabulary: head.rows)
        let workspace = try backend.tensor(.uint8, [bytes])
        backend.linearCrossEntropy(
            hidden: hidden, head: head, targets: targets, loss: kind, scale: 0.7,
            logProbabilities: logs, entropies: entropies, isTop: tops, gradient: gradient,
            workspace: workspace)
        try record("log p", logs)
        try record("entropy", entropies)
        try record("is top", tops)
    }
}
