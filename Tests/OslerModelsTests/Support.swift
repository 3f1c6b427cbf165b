import OslerCompute
import OslerFormats
import OslerModels
import OslerTestSupport
import Testing

/// Backends that every golden runs on.
enum TestBackend: String, CaseIterable, CustomTestStringConvertible {
    case reference, cpu

    func make(_ precision: Precision = .float32) throws -> any Backend {
        switch self {
        case .reference: ReferenceBackend(precision: precision)
        case .cpu: try CPUBackend(precision: precision, threads: 2)
        }
    }
    var testDescription: String { rawValue }
}

func loadModel(
    _ name: String, _ backend: any Backend, quantization: WeightQuantization = .none
) throws -> CausalLM {
    try ModelLoader(
        ModelFiles(Fixtures.path(name)), backend: backend, quantization: quantization
    ).load(positions: 512)
}

/// Room for the tiny models' passes.
func testArena(_ backend: any Backend) throws -> Arena {
    try Arena(backend: backend, byteCount: 64 << 20)
}

/// One sequence of a golden's ids, at given positions.
func batch(_ ids: [Int], positions: [Int]? = nil) -> TokenBatch {
    TokenBatch(
        ids: ids.map(Int32.init), positions: (positions ?? Array(ids.indices)).map(Int32.init),
        targets: [Int32](repeating: -1, count: ids.count), lengths: [ids.count])
}
