import Foundation
import OslerFormats
import OslerTestSupport
import Testing

/// The commands on a card, which is the simulator's, and without one.
@Suite struct DeviceTests {
    /// The simulator in place of the driver, NVRTC and cuBLASLt.
    static let card: [String: String] = {
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

    @Test func `bench train measures a card`() throws {
        func result(_ device: String) throws -> JSON {
            let outcome = try osler(
                [
                    "bench", "train", "--shape", "tiny", "--random-weights", "--rows", "24",
                    "--batch", "2", "--steps", "2", "--target", "all-linear", "--dtype", "float32",
                    "--device", device, "--json",
                ], environment: Self.card.merging(["CUDASIM_MEMORY": "300000000"]) { $1 })
            try #require(outcome.code == 0, "\(outcome.errors)")
            return try JSON.parse(outcome.output)
        }
        let (cpu, card) = (try result("cpu"), try result("cuda:0"))
        #expect(cpu["card"] == nil && card["card"]?.string == "CudaSim")
        for key in ["loss", "grad_norm"] {
            let pairs = zip(
                try #require(cpu["steps"]?.array), try #require(card["steps"]?.array))
            for (one, other) in pairs {
                let (a, b) = (one[key]?.double ?? .nan, other[key]?.double ?? .nan)
                #expect(abs(a - b) <= 1e-4 * abs(a), "\(key)")
            }
        }
        for key in ["share_of_peak", "peak_gflops_per_second", "copy_gigabytes_per_second"] {
            #expect(card[key]?.double ?? 0 > 0, "\(key)")
        }
        // The card's memory holds what this process held, and on the simulator little else: the driver gives whole
        // pieces.
        let held = try #require(card["peak_bytes"]?.integer)
        let taken = try #require(card["card_bytes"]?.integer)
        #expect(held > 32 << 20 && taken >= held && taken < held + (1 << 20))
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
