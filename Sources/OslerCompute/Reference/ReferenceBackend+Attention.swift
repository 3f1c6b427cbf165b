#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension ReferenceBackend {
    package func attention(
        query: Tensor, key: Tensor, value: Tensor, sequences: SequenceTable, scale: Float,
        output: Tensor, logSumExp: Tensor
    ) {
        let shape = AttentionShape(query, key)
        let (q, k, v) = (load(query), load(key), load(value))
        var (y, sums) = (load(output), load(logSumExp))
        shape.forEachRow(of: sequences) { head, i, keys in
            let scores = keys.map { shape.dot(q, i, k, $0, head) * Double(scale) }
            let top = scores.max() ?? 0
            let sum = top + log(scores.map { exp($0 - top) }.reduce(0, +))
            sums[head * shape.queries + i] = sum
            for c in 0..<shape.width {
                y[shape.queryIndex(i, head) + c] = zip(keys, scores)
                    .map { exp($1 - sum) * v[shape.keyIndex($0, head) + c] }.reduce(0, +)
            }
        }
        store(y, in: output)
        store(sums, in: logSumExp)
    }

    /// With P = exp(scale q k - logSumExp): dV = P^T dO, dS = P * (dO V^T - rowsum(dO * O)), dQ =
    /// scale dS K, dK = scale dS^T Q.
    package func attentionBackward(
        _ outputGradient: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
        logSumExp: Tensor, sequences: SequenceTable, scale: Float, queryGradient: Tensor,
        keyGradient: Tensor, valueGradient: Tensor
    ) {
        let shape = AttentionShape(query, key)
        let (q, k, v) = (load(query), load(key), load(value))
        let (y, dy, sums) = (load(output), load(outputGradient), load(logSumExp))
        var dq = [Double](repeating: 0, count: q.count)
        var dk = [Double](repeating: 0, count: k.count)
        var dv = dk
        shape.forEachRow(of: sequences) { head, i, keys in
            let row = shape.queryIndex(i, head)
            let delta = (0..<shape.width).map { y[row + $0] * dy[row + $0] }.reduce(0, +)
            for j in keys {
                let column = shape.keyIndex(j, head)
                let score = shape.dot(q, i, k, j, head) * Double(scale)
                let p = exp(score - sums[head * shape.queries + i])
                let ds = p * (shape.dot(dy, i, v, j, head) - delta) * Double(scale)
                for c in 0..<shape.width {
                    dq[row + c] += ds * k[column + c]
                    dk[column + c] += ds * q[row + c]
                    dv[column + c] += p * dy[row + c]
                }
            }
        }
        store(dq, in: queryGradient)
        store(dk, in: keyGradient)
        store(dv, in: valueGradient)
    }
}

/// Where the heads of `[Tq, H, h]` queries and `[Tk, K, h]` keys lie.
private struct AttentionShape {
    let queries: Int
    let queryHeads: Int
    let keyHeads: Int
    let width: Int

    init(_ query: Tensor, _ key: Tensor) {
        (queries, queryHeads, width) = (query.shape[0], query.shape[1], query.shape[2])
        keyHeads = key.shape[1]
        precondition(key.shape[2] == width && queryHeads % keyHeads == 0)
    }

    func queryIndex(_ i: Int, _ head: Int) -> Int { (i * queryHeads + head) * width }
    func keyIndex(_ j: Int, _ head: Int) -> Int {
        (j * keyHeads + head / (queryHeads / keyHeads)) * width
    }

    func dot(_ q: [Double], _ i: Int, _ k: [Double], _ j: Int, _ head: Int) -> Double {
        let (a, b) = (queryIndex(i, head), keyIndex(j, head))
        return (0..<width).map { q[a + $0] * k[b + $0] }.reduce(0, +)
    }

    /// Calls `body(head, query, keys that it sees)`, both as rows of the flattened tensors.
    func forEachRow(of sequences: SequenceTable, _ body: (Int, Int, Range<Int>) -> Void) {
        for entry in sequences.entries {
            for head in 0..<queryHeads {
                for i in 0..<entry.queryCount {
                    let seen = entry.keyCount - entry.queryCount + i + 1
                    body(
                        head, entry.queryOffset + i, entry.keyOffset..<entry.keyOffset + seen)
                }
            }
        }
    }
}
