internal import OslerCompute

extension ConformanceCase {
    /// Heads, key heads and head width.
    private static let headShapes = [(1, 1, 8), (4, 2, 16), (3, 1, 24), (6, 2, 64), (2, 2, 128)]

    static var attentions: [ConformanceCase] {
        var cases: [ConformanceCase] = []
        for heads in headShapes {
            for lengths in [[1], [15, 16, 17], [33, 1, 2], [70], [129, 3]] {
                let table = SequenceTable(lengths: lengths)
                cases.append(forward("\(lengths)", heads, table, scoreScale: 1))
                cases.append(backward("\(lengths)", heads, table))
            }
            // Decoding: the last tokens of sequences whose keys are cached, with unused rows
            // between.
            let decoding = SequenceTable(entries: [
                .init(queryOffset: 0, queryCount: 1, keyOffset: 3, keyCount: 40),
                .init(queryOffset: 2, queryCount: 5, keyOffset: 50, keyCount: 21),
                .init(queryOffset: 7, queryCount: 1, keyOffset: 71, keyCount: 1),
            ])
            cases.append(forward("decoding", heads, decoding, scoreScale: 1))
        }
        let long = SequenceTable(lengths: [40, 9])
        cases.append(forward("with large scores", (2, 1, 16), long, scoreScale: 30))
        return cases
    }

    private static func size(_ table: SequenceTable) -> (queries: Int, keys: Int) {
        (
            (table.entries.map { $0.queryOffset + $0.queryCount }.max() ?? 0),
            (table.entries.map { $0.keyOffset + $0.keyCount }.max() ?? 0)
        )
    }

    private static func forward(
        _ name: String, _ heads: (Int, Int, Int), _ table: SequenceTable, scoreScale: Float
    ) -> ConformanceCase {
        ConformanceCase(.attention, "\(name), heads \(heads)") { run in
            let (count, type) = (size(table), run.activation)
            let q = try run.normal(type, [count.queries, heads.0, heads.2], scale: scoreScale)
            let k = try run.normal(type, [count.keys, heads.1, heads.2])
            let v = try run.normal(type, [count.keys, heads.1, heads.2])
            // Rows of no sequence keep what is there.
            let y = try run.normal(type, q.shape)
            let sums = try run.normal([heads.0, count.queries])
            run.backend.attention(
                query: q, key: k, value: v, sequences: table,
                scale: 1 / Float(heads.2).squareRoot(), output: y, logSumExp: sums)
            try run.record("output", y)
            try run.record("log-sum-exp", sums)
        }
    }

    private static func backward(
        _ name: String, _ heads: (Int, Int, Int), _ table: SequenceTable
    ) -> ConformanceCase {
        ConformanceCase(.attentionBackward, "\(name), heads \(heads)") { run in
            let (count, type) = (size(table).queries, run.activation)
            let scale = 1 / Float(heads.2).squareRoot()
            let q = try run.normal(type, [count, heads.0, heads.2])
            let k = try run.normal(type, [count, heads.1, heads.2])
            let v = try run.normal(type, [count, heads.1, heads.2])
            let dy = try run.normal(type, q.shape)
            let (y, sums) = (
                try run.output(type, q.shape), try run.output(.float32, [heads.0, count])
            )
            run.backend.attention(
                query: q, key: k, value: v, sequences: table, scale: scale, output: y,
                logSumExp: sums)
            let gradients = try [q, k, v].map { try run.output(type, $0.shape) }
            run.backend.attentionBackward(
                dy, query: q, key: k, value: v, output: y, logSumExp: sums, sequences: table,
                scale: scale, queryGradient: gradients[0], keyGradient: gradients[1],
                valueGradient: gradients[2])
            try run.record("query gradient", gradients[0])
            try run.record("key gradient", gradients[1])
            try run.record("value gradient", gradients[2])
        }
    }
}
