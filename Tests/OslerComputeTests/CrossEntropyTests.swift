import OslerCompute
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// `CPUBackend.linearCrossEntropy` where chunks and slices meet; its values are the conformance suite's business.
@Suite struct CrossEntropyTests {
    struct Result: Equatable {
        var logs: [Float]
        var entropies: [Float]
        var top: [Float]
        var gradient: [Float]
    }

    func run(
        _ backend: CPUBackend, hidden: Tensor, head: FrozenMatrix, targets: [Int32],
        loss: LossKind, scale: Float = 1, withGradient: Bool = true
    ) throws -> Result {
        let rows = hidden.rowCount
        let ids = Tensor(
            storage: try backend.allocate(byteCount: 4 * rows), dtype: .int32, shape: [rows])
        for i in 0..<rows { ids.elements(as: Int32.self)[i] = targets[i] }
        let outputs = try (0..<3).map { _ in try Dense(backend, [rows], .float32) }
        let gradient = try Dense(backend, hidden.shape, .float32)
        let bytes = backend.linearCrossEntropyWorkspace(
            rows: rows, width: hidden.columns, vocabulary: head.rows)
        let workspace = Tensor(
            storage: try backend.allocate(byteCount: bytes), dtype: .uint8, shape: [bytes])
        backend.linearCrossEntropy(
            hidden: hidden, head: head, targets: ids, loss: loss, scale: scale,
            logProbabilities: outputs[0].tensor, entropies: outputs[1].tensor,
            isTop: outputs[2].tensor, gradient: withGradient ? gradient.tensor : nil,
            workspace: workspace)
        func values(_ dense: Dense) -> [Float] { (0..<dense.tensor.count).map { dense[$0] } }
        return Result(
            logs: values(outputs[0]), entropies: values(outputs[1]), top: values(outputs[2]),
            gradient: withGradient ? values(gradient) : [])
    }

    struct Case: CustomStringConvertible, Sendable {
        var isa: CPUBackend.ISA
        var loss: LossKind
        var description: String { "\(isa) \(loss)" }
    }
    static let cases = CPUBackend.ISA.supported.flatMap { isa in
        [LossKind.nll, .dft].map { Case(isa: isa, loss: $0) }
    }

    /// Against double precision; 8,300 words make two slices of the gradient's product.
    @Test("Values and gradient agree with sums in double precision", arguments: cases)
    func agree(_ c: Case) throws {
        let (rows, width, vocabulary, scale) = (5, 24, 8300, 0.25 as Float)
        let backend = try CPUBackend(precision: .float32, threads: 2, isa: c.isa)
        var random = Random(seed: 1)
        let hidden = try Dense(backend, [rows, width], .float32, &random)
        let head = try Dense(backend, [vocabulary, width], .float32, &random)
        var targets = (0..<rows).map { Int32($0 * 2050 + 3) }
        func logit(_ i: Int, _ v: Int) -> Double {
            (0..<width).reduce(0) {
                $0 + Double(hidden[i * width + $1]) * Double(head[v * width + $1])
            }
        }
        let logits = (0..<rows).map { i in (0..<vocabulary).map { logit(i, $0) } }
        targets[0] = Int32(logits[0].firstIndex(of: logits[0].max() ?? 0) ?? 0)
        let got = try run(
            backend, hidden: hidden.tensor, head: .dense(head.tensor), targets: targets,
            loss: c.loss, scale: scale)
        for i in 0..<rows {
            let sum = logits[i].reduce(0) { $0 + exp($1) }
            let p = logits[i].map { exp($0) / sum }
            let target = Int(targets[i])
            #expect(abs(Double(got.logs[i]) - log(p[target])) < 1e-5)
            #expect(abs(Double(got.entropies[i]) + p.reduce(0) { $0 + $1 * log($1) }) < 1e-5)
            #expect(got.top[i] == (i == 0 ? 1 : 0))
            let weight = Double(scale) * (c.loss == .dft ? p[target] : 1)
            for j in 0..<width {
                let expected = (0..<vocabulary).reduce(-Double(head[target * width + j])) {
                    $0 + p[$1] * Double(head[$1 * width + j])
                }
                #expect(abs(Double(got.gradient[i * width + j]) - weight * expected) < 1e-6)
            }
        }
    }

    @Test("Of equal largest logits the first one counts", arguments: CPUBackend.ISA.supported)
    func ties(isa: CPUBackend.ISA) throws {
        let backend = try CPUBackend(precision: .bfloat16, threads: 1, isa: isa)
        let hidden = try Dense(backend, [2, 1], .bfloat16)
        let head = try Dense(backend, [37, 1], .bfloat16)
        for i in 0..<2 { hidden.set(i, 1) }
        for v in 0..<37 { head.set(v, v == 20 || v == 35 ? 2 : 1) }
        let got = try run(
            backend, hidden: hidden.tensor, head: .dense(head.tensor), targets: [20, 35],
            loss: .nll)
        #expect(got.top == [1, 0])
    }

    /// 40,000 words leave room for 408 rows a chunk.
    @Test("Rows do not depend on chunks, threads or the gradient")
    func deterministic() throws {
        let (rows, width, vocabulary) = (450, 16, 40_000)
        var random = Random(seed: 2)
        let maker = try CPUBackend(precision: .bfloat16, threads: 1)
        let hidden = try Dense(maker, [rows, width], .bfloat16, &random)
        let head = try Dense(maker, [vocabulary, width], .bfloat16, &random)
        let targets = (0..<rows).map { Int32($0 * 80) }
        let all = try run(
            maker, hidden: hidden.tensor, head: .dense(head.tensor), targets: targets, loss: .dft)
        let backend = try CPUBackend(precision: .bfloat16, threads: 3)
        let evaluated = try run(
            backend, hidden: hidden.tensor, head: .dense(head.tensor), targets: targets,
            loss: .dft, withGradient: false)
        #expect(evaluated.logs == all.logs && evaluated.entropies == all.entropies)
        let last = try run(
            backend, hidden: hidden.tensor.rows(445..<rows), head: .dense(head.tensor),
            targets: Array(targets[445...]), loss: .dft)
        #expect(last.logs == Array(all.logs[445...]))
        #expect(last.gradient == Array(all.gradient[(445 * width)...]))
    }

    @Test("A logit that is not a number makes its row's loss not a number")
    func notANumber() throws {
        let backend = try CPUBackend(precision: .float32, threads: 1)
        var random = Random(seed: 3)
        let hidden = try Dense(backend, [2, 4], .float32, &random)
        let head = try Dense(backend, [100, 4], .float32, &random)
        hidden.set(5, .nan)
        let got = try run(
            backend, hidden: hidden.tensor, head: .dense(head.tensor), targets: [1, 2], loss: .nll)
        #expect(got.logs[0].isFinite && got.logs[1].isNaN)
        #expect(got.gradient[0].isFinite && got.gradient[4].isNaN)
    }
}
