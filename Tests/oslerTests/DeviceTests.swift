import Foundation
import OslerFormats
import OslerTestSupport
import Testing

/// The commands on a card, which is the simulator's, and without one.
@Suite struct DeviceTests {
    /// The simulator in place of the driver, NVRTC and cuBLASLt.
    private static let card: [String: String] = {
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
        let library = bundle.deletingLastPathComponent().appendingPathComponent("libCudaSim.so")
        return [
            "OSLER_CUDA_DRIVER": library.path, "OSLER_NVRTC": library.path,
            "OSLER_CUBLASLT": library.path,
        ]
    }()
    private static let noCard = ["OSLER_CUDA_DRIVER": "/nowhere/libcuda.so.1"]

    private func losses(_ place: Workplace, _ arguments: [String]) throws -> [Double] {
        let outcome = try osler(
            ["train", place.configuration, "--json"] + arguments, environment: Self.card)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let steps = try #require(try JSON.parse(outcome.output)["steps"]?.array)
        return steps.compactMap { $0["loss"]?.double }
    }

    @Test(
        arguments: [
            ["dtype=float32"], ["gradient_checkpointing=true"],
            ["load_in_4bit=true", "bnb_4bit_quant_type=nf4", "bnb_4bit_use_double_quant=true"],
            ["dtype=float32", "optim=adamw_8bit", "loss_type=dft"],
        ])
    func `training on a card gives the CPU's losses`(overrides: [String]) throws {
        let place = try Workplace()
        let expected = try losses(place, ["--device", "cpu"] + overrides)
        let actual = try losses(place, ["--device", "cuda"] + overrides)
        #expect(actual.count == 2 && expected.count == 2)
        // float32 sums in another order; bfloat16 activations that round the other way.
        let tolerance = overrides.contains("dtype=float32") ? 1e-5 : 5e-3
        for (a, e) in zip(actual, expected) { #expect(abs(a - e) <= tolerance * max(1, abs(e))) }
    }

    /// Against float32: the CPU has no float16. On Turing it is what `auto` computes in.
    @Test(
        arguments: [
            (["fp16=true"], "80"), ([], "75"),
            (["fp16=true", "load_in_4bit=true", "bnb_4bit_quant_type=nf4"], "75"),
        ] as [([String], String)])
    func `training in float16 follows float32`(keys: [String], architecture: String) throws {
        let place = try Workplace()
        let card = Self.card.merging(["CUDASIM_ARCHITECTURE": architecture]) { $1 }
        let fourBits = keys.filter { $0.contains("4bit") }
        let expected = try losses(place, ["--device", "cpu", "dtype=float32"] + fourBits)
        let outcome = try osler(
            ["train", place.configuration, "--json", "--device", "cuda"] + keys, environment: card)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let steps = try #require(try JSON.parse(outcome.output)["steps"]?.array)
        #expect(steps.map { $0["loss_scale"]?.double } == [65536, 65536])
        for (step, expected) in zip(steps, expected) {
            let loss = try #require(step["loss"]?.double)
            #expect(abs(loss - expected) <= 2e-3 * expected)
        }
    }

    @Test func `types that the device doesn't compute in are an error`() throws {
        let place = try Workplace()
        for arguments in [["device=cpu", "fp16=true"], ["device=auto", "dtype=float16"]] {
            let outcome = try osler(
                ["train", place.configuration] + arguments, environment: Self.noCard)
            #expect(outcome.code == 1)
            #expect(outcome.errors.contains("float16") && outcome.errors.contains("bf16: true"))
        }
        let turing = Self.card.merging(["CUDASIM_ARCHITECTURE": "75"]) { $1 }
        let outcome = try osler(
            ["train", place.configuration, "device=cuda", "bf16=true"], environment: turing)
        #expect(outcome.code == 1)
        #expect(outcome.errors.contains("7.5") && outcome.errors.contains("fp16: true"))
    }

    @Test func `a card's answer is the CPU's`() throws {
        let place = try Workplace()
        let command = [
            "generate", "--model", place.model, "--prompt", "Hello", "--greedy", "--dtype",
            "float32", "--max-new-tokens", "8", "--json", "--device",
        ]
        let answers = try ["cpu", "cuda:0"].map { device in
            let outcome = try osler(command + [device], environment: Self.card)
            try #require(outcome.code == 0, "\(outcome.errors)")
            return try JSON.parse(outcome.output)["ids"]?.array?.map(\.integer)
        }
        #expect(answers[0] == answers[1] && answers[0]?.isEmpty == false)
    }

    @Test func `a card that can't be used is an error with the reason, unless auto chooses`() throws
    {
        let place = try Workplace()
        let asked = try osler(
            ["train", place.configuration, "device=cuda"], environment: Self.noCard)
        #expect(asked.code == 1)
        #expect(asked.errors.contains("cuda:0 can't be used"))
        #expect(asked.errors.contains("/nowhere/libcuda.so.1"))
        let left = try osler(
            ["train", place.configuration, "device=auto", "--json"], environment: Self.noCard)
        #expect(left.code == 0, "\(left.errors)")
        let half = Self.card.merging(["OSLER_NVRTC": "/nowhere/libnvrtc.so"]) { $1 }
        let noted = try osler(["train", place.configuration, "--json"], environment: half)
        #expect(noted.code == 0, "\(noted.errors)")
        #expect(noted.errors.contains("the CPU computes") && noted.errors.contains("libnvrtc.so"))
    }

    @Test func `doctor tells what there is and what is missing`() throws {
        func report(_ environment: [String: String]) throws -> JSON {
            let outcome = try osler(["doctor", "--json"], environment: environment)
            try #require(outcome.code == 0, "\(outcome.errors)")
            return try JSON.parse(outcome.output)
        }
        let whole = try report(Self.card)
        #expect(whole["auto_device"]?.string == "cuda:0")
        #expect(whole["gpus"]?.array?.first?["name"]?.string == "CudaSim")
        #expect(whole["gpus"]?.array?.first?["problem"]?.isNull == true)
        #expect(whole["libraries"]?.array?.count == 3)
        let bare = try report(Self.noCard)
        #expect(bare["auto_device"]?.string == "cpu")
        #expect(bare["gpus"]?.array?.isEmpty == true)
        let driver = try #require(bare["libraries"]?.array?.first)
        #expect(driver["path"]?.isNull == true)
        #expect(driver["remedy"]?.string?.contains("OSLER_CUDA_DRIVER") == true)
        let text = try osler(["doctor"], environment: Self.noCard)
        #expect(text.output.contains("NVIDIA driver missing"))
        #expect(text.output.contains("device: auto computes on cpu"))
    }
}
