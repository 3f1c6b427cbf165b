import OslerCompute
import OslerData
import OslerEvaluation
import OslerFormats
import OslerModels
import OslerTestSupport
import OslerTokenizers

/// A folder of its own, removed at the end.
final class TemporaryFolder {
    let path = Fixtures.temporaryFolder()
    init() throws { try FileSystem.createDirectories(path) }
    deinit { try? FileSystem.remove(path) }
    func path(_ name: String) -> String { FileSystem.join(path, name) }
}

/// The tiny model, with an adapter that changes its answers, and its tokenizer.
struct Tiny {
    let model: CausalLM
    let chat: ChatContext

    init() throws {
        let backend = try CPUBackend(precision: .float32, threads: 2)
        model = try ModelLoader(ModelFiles(Fixtures.path("lora/base")), backend: backend)
            .load(positions: 64)
        try model.attachAdapter(from: Fixtures.path("lora/qkvo"))
        chat = try ChatContext(
            tokenizer: Tokenizer.load(
                Fixtures.path("lora/tokenizer"),
                embeddingRows: model.configuration.vocabularySize))
    }

    func evaluator(_ settings: EvaluationSettings) -> ModelEvaluator {
        ModelEvaluator(
            model, chat: chat, stop: chat.eosToken.map { [$0.id] } ?? [], settings: settings)
    }

    static func items(_ count: Int) -> [EvaluationItem] {
        (0..<count).map { index in
            EvaluationItem(
                task: "t", id: "\(index)", source: index % 2 == 0 ? "even" : "odd",
                question: "Sign \(index)?",
                reference: .choice(
                    options: [.init("A", "rest"), .init("B", "a long walk"), .init("C", "é")],
                    answer: index % 3),
                demonstration: .init(
                    question: "Sign \(index)?", reasoning: "It is \(index).", response: "Rest."))
        }
    }
}
