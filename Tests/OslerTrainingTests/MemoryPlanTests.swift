import OslerCompute
import OslerData
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTraining
import Testing

/// What the plan says beforehand is what a run takes: to the byte.
@Suite struct MemoryPlanTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var loss: LossKind
        var checkpointing: Checkpointing
        var dropout: Double
        var precision: Precision
        var testDescription: String { "\(loss) \(checkpointing) \(dropout) \(precision)" }

        static let all = [LossKind.nll, .dft].flatMap { loss in
            [Checkpointing.none, .block, .keeping(1)].flatMap { checkpointing in
                [0, 0.1].flatMap { dropout in
                    [Precision.float32, .bfloat16].map {
                        Case(
                            loss: loss, checkpointing: checkpointing, dropout: dropout,
                            precision: $0)
                    }
                }
            }
        }
    }

    @Test(arguments: Case.all)
    func `a run takes the arena that was planned`(_ item: Case) throws {
        let run = try ReferenceRun("nll-rslora-alllinear")
        let backend = try CPUBackend(precision: item.precision, threads: 2)
        let model = try run.model(backend, dropout: item.dropout)
        let lora = try #require(model.adapter?.configuration)
        var options = try run.options()
        (options.loss, options.checkpointing) = (item.loss, item.checkpointing)
        (options.maxSteps, options.accumulation, options.sampling) = (8, 1, .sequential)
        let rows = try run.rows()
        let batches = microBatchSlices(Array(rows.indices), size: options.batchSize).map { slice in
            TokenBatch(MicroBatch(slice.flatMap { rows[$0] }))
        }
        let longest = try #require(rows.max { $0[0].ids.count < $1[0].ids.count })
        options.evalBatchSize = 1
        let planned = try MemoryPlan.arenaBytes(
            model.configuration, lora: lora, options: options,
            trainBatches: largestBatches(batches),
            evalBatches: [TokenBatch(MicroBatch(longest))], backend: backend)
        let plan = (training: planned.training[0], evaluation: planned.evaluation[0])
        #expect(plan.evaluation > 0 && plan.training > plan.evaluation)

        let arena = try Arena(backend: backend, byteCount: 4 * plan.training)
        let trainer = try SFTTrainer(
            model: model, trainRows: rows, evalRows: [], options: options, arena: arena,
            output: nil, report: { _ in })
        _ = try trainer.train()
        #expect(arena.peak == plan.training)

        let small = try Arena(backend: backend, byteCount: 4 * plan.evaluation)
        let evaluator = try SFTTrainer(
            model: model, trainRows: rows, evalRows: rows, options: options, arena: small,
            output: nil, report: { _ in })
        _ = try evaluator.evaluate()
        #expect(small.peak == plan.evaluation)
    }

    /// An embedding that isn't the head too stays in its file, but for the rows of a batch.
    @Test(arguments: [false, true]) func `pages of an embedding are given back`(tied: Bool) throws {
        let name = tied ? "model/llama3-rope-tied" : "model/llama-gqa"
        let files = try ModelFiles(Fixtures.path(name))
        let backend = try CPUBackend(precision: .float32, threads: 1)
        #expect(files.embeddingStaysInFile(on: backend) == !tied)
        let model = try ModelLoader(files, backend: backend).load(positions: 64)
        let arena = try Arena(backend: backend, byteCount: 32 << 20)
        let batch = TokenBatch(sequences: [[1, 2, 3, 4]], allTargets: true)
        let first = try model.logits(batch, arena: arena)
        #expect(try model.logits(batch, arena: arena) == first)

        final class Lender: RereadableMemory, @unchecked Sendable {
            var released = 0
            func release(_ bytes: UnsafeRawBufferPointer) { released += bytes.count }
        }
        let (lender, memory) = (
            Lender(), UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 64)
        )
        defer { memory.deallocate() }
        let storage = try backend.adopt(UnsafeRawBufferPointer(memory), owner: lender)
        storage.releasePages()
        #expect(lender.released == 64)
    }

    @Test func `an embedding in a file counts for the rows of a batch`() throws {
        let backend = try CPUBackend(precision: .bfloat16, threads: 1)
        var configuration = ModelShape.r1DistillLlama.configuration
        configuration.layers = 1
        func bytes(_ staysInFile: Bool) throws -> Int {
            try MemoryPlan(
                model: configuration, quantization: .none, embeddingStaysInFile: staysInFile,
                lora: LoRAConfiguration(), options: TrainingOptions(),
                trainBatches: [batch(tokens: 100, targets: 50)], evalBatches: [], positions: 128,
                on: [PlannedDevice(backend, scratch: 0, budget: nil)]
            ).total
        }
        let row = configuration.hiddenSize * 2
        #expect(
            try bytes(false) - bytes(true)
                == configuration.vocabularySize * row - 100 * (row + 65536))
    }

    /// The plan takes every micro-batch of a step for one with the most targets: 12 bytes each.
    @Test func `a step of several micro-batches takes little less than was planned`() throws {
        let run = try ReferenceRun("nll-rslora-alllinear")
        let backend = try CPUBackend(precision: .float32, threads: 2)
        let model = try run.model(backend)
        var options = try run.options()
        (options.maxSteps, options.accumulation, options.sampling) = (2, 4, .sequential)
        let rows = try run.rows()
        let batches = microBatchSlices(Array(rows.indices), size: options.batchSize).map { slice in
            TokenBatch(MicroBatch(slice.flatMap { rows[$0] }))
        }
        let planned = try MemoryPlan.arenaBytes(
            model.configuration, lora: try #require(model.adapter?.configuration),
            options: options, trainBatches: largestBatches(batches), evalBatches: [],
            backend: backend
        ).training[0]
        let arena = try Arena(backend: backend, byteCount: planned)
        let trainer = try SFTTrainer(
            model: model, trainRows: rows, evalRows: [], options: options, arena: arena,
            output: nil, report: { _ in })
        _ = try trainer.train()
        let targets = batches.map(\.targetCount)
        let most = 4 * (targets.max() ?? 0)
        #expect(arena.peak <= planned)
        #expect(planned - arena.peak < 12 * most)
    }

    /// A batch of `tokens` tokens, the last `targets` of them in the loss.
    private func batch(tokens: Int, targets: Int) -> TokenBatch {
        TokenBatch(
            MicroBatch([
                Example(
                    ids: Array(repeating: 1, count: tokens),
                    lossMask: (0..<tokens).map { $0 >= tokens - targets }, row: 0)
            ]))
    }

    @Test func `neither the longest batch nor the one with most targets need be the largest`()
        throws
    {
        let backend = try CPUBackend(precision: .float32, threads: 2)
        // A head so large that the logits of a few rows outweigh a block.
        var configuration = try ModelFiles(Fixtures.path("lora/base")).configuration
        configuration.vocabularySize = 32000
        let batches = [(400, 1), (120, 118), (390, 117), (380, 100), (120, 7)].map {
            batch(tokens: $0, targets: $1)
        }
        func bytes(_ batches: [TokenBatch]) throws -> Int {
            try MemoryPlan.arenaBytes(
                configuration, lora: LoRAConfiguration(), options: TrainingOptions(),
                trainBatches: batches, evalBatches: [], backend: backend
            ).training[0]
        }
        let each = try batches.map { try bytes([$0]) }
        #expect(each[2] > each[0] && each[2] > each[1])
        let largest = largestBatches(batches)
        #expect(largest.map(\.ids.count) == [400, 390, 120])
        #expect(try bytes(largest) == each[2])
        #expect(try bytes(batches) == each[2])
    }
}
