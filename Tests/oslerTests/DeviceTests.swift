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

    /// Of a run on simulated cards: the losses, and the plan's figures.
    private func run(
        _ place: Workplace, _ arguments: [String], cards: Int = 1
    ) throws -> (losses: [Double], planned: Int, peak: Int) {
        let environment = Self.card.merging(["CUDASIM_DEVICES": "\(cards)"]) { $1 }
        let outcome = try osler(
            ["train", place.configuration, "--json"] + arguments, environment: environment)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let json = try JSON.parse(outcome.output)
        return (
            try #require(json["steps"]?.array).compactMap { $0["loss"]?.double },
            try #require(json["planned_bytes"]?.integer), try #require(json["peak_bytes"]?.integer)
        )
    }

    private func plan(_ place: Workplace, _ arguments: [String]) throws -> JSON {
        let outcome = try osler(
            ["plan", place.configuration, "--json"] + arguments, environment: Self.noCard)
        try #require(outcome.code == 0, "\(outcome.errors)")
        return try JSON.parse(outcome.output)
    }

    /// Without what the plan of a card that isn't here counts for its driver.
    private func bytes(_ plan: JSON) throws -> Int {
        try #require(plan["total"]?.integer) - (plan["driver and context"]?.integer ?? 0)
    }

    @Test func `device_map auto streams the blocks that a card has no room for`() throws {
        let place = try Workplace()
        let whole = try bytes(plan(place, ["--gpu-memory", "1GB", "gradient_checkpointing=true"]))
        let limit = ["max_memory=\(whole - 1)", "--device", "cuda"]
        let refused = try osler(
            ["train", place.configuration] + limit, environment: Self.card)
        #expect(refused.code == 1 && refused.errors.contains("device_map: auto"))
        let resident = try run(place, ["--device", "cuda", "gradient_checkpointing=true"])
        let streamed = try run(place, limit + ["--device-map", "auto"])
        #expect(streamed.losses == resident.losses && streamed.losses.count == 2)
        #expect(streamed.planned < resident.planned && streamed.peak <= streamed.planned)
        let shown = try osler(
            ["plan", place.configuration, "device_map=auto"] + limit, environment: Self.card)
        #expect(shown.output.contains("0 of 3 blocks stay on the card, 3 are streamed from"))
    }

    @Test func `device_map auto spreads a model over cards, with the bits of one`() throws {
        let place = try Workplace()
        let whole = try bytes(plan(place, ["--gpu-memory", "1GB", "gradient_checkpointing=true"]))
        let one = try run(place, ["--device", "cuda"])
        let two = try run(
            place, ["max_memory=\(whole - 1)", "device_map=auto"], cards: 2)
        #expect(two.losses == one.losses && two.losses.count == 2)
        #expect(two.peak <= two.planned)
        let answers = try [("1", "cuda"), ("2", "auto")].map { cards, device in
            let outcome = try osler(
                [
                    "generate", "--model", place.model, "--prompt", "Hello", "--greedy",
                    "--max-new-tokens", "8", "--json", "--device", device, "--device-map", "auto",
                ], environment: Self.card.merging(["CUDASIM_DEVICES": cards]) { $1 })
            try #require(outcome.code == 0, "\(outcome.errors)")
            return try JSON.parse(outcome.output)["ids"]
        }
        #expect(answers[0] == answers[1] && answers[0] != nil)
    }

    /// (QLoRA, Dettmers et al. 2023.) No card is asked.
    @Test(
        arguments: [
            ("r1-distill-llama-8b", "8GB", 1), ("r1-distill-llama-70b", "80GB", 0),
            ("r1-distill-llama-70b", "24GB", 1), ("r1-distill-llama-70b", "24GB,24GB,24GB", 0),
        ])
    func `a plan for cards that aren't here fits`(
        shape: String, memory: String, streams: Int
    ) throws {
        let arguments = [
            "bench", "train", "--plan-only", "--nf4", "--shape", shape, "--rows", "2048",
            "--target", "all-linear", "--gpu-memory", memory,
        ]
        let shown = try osler(arguments, environment: Self.noCard)
        #expect(shown.code == 0 && shown.output.contains("\nfits into"), "\(shown)")
        #expect(shown.output.contains("driver and context"))
        let outcome = try osler(arguments + ["--json"], environment: Self.noCard)
        let plan = try JSON.parse(outcome.output)
        let cards = memory.split(separator: ",").count
        #expect((plan["streamed_blocks"]?.integer ?? 0 > 0) == (streams > 0))
        #expect((plan["devices"]?.array?.count ?? 1) == cards)
        let total = try #require(plan["total"]?.integer)
        let each = try #require(Int(memory.prefix { $0.isNumber }))
        #expect(total <= cards * each * 1_000_000_000 / 16 * 15)
    }

    @Test func `a plan says when a card is too small, and what helps`() throws {
        let place = try Workplace()
        let outcome = try osler(
            ["plan", place.configuration, "--gpu-memory", "600MB"], environment: Self.noCard)
        #expect(outcome.code == 0 && outcome.output.contains("doesn't fit"))
        #expect(outcome.output.contains("device_map: auto"))
    }

    /// Two steps on one and two on the other, beside four on one.
    @Test(
        arguments: ["cpu", "cuda"],
        [["dtype=float32"], ["dtype=bfloat16"], ["dtype=float32", "optim=adamw_8bit"]])
    func `a checkpoint goes on on the other device`(first: String, overrides: [String]) throws {
        let place = try Workplace()
        let other = first == "cpu" ? "cuda" : "cpu"
        let keys = ["max_steps=4", "save_strategy=steps", "save_steps=2"] + overrides
        let whole = try losses(place, ["--device", first] + keys)
        let rest = try losses(
            place,
            ["--device", other, "output_dir=\(place.path)/other"] + keys
                + ["resume_from_checkpoint=\(place.path)/out/checkpoint-2"])
        #expect(whole.count == 4 && rest.count == 2)
        // Values that round to another bfloat16 or 8-bit code are a step of that code apart.
        let tolerance = overrides == ["dtype=float32"] ? 1e-5 : 5e-3
        for (a, e) in zip(rest, whole.suffix(2)) {
            #expect(abs(a - e) <= tolerance * max(1, abs(e)), "\(rest) for \(whole)")
        }
    }

    /// What a simulated card does once its second checkpoint is there, and what is said then.
    @Test(arguments: [
        ("2:cuMemAlloc_v2", "CUDA_ERROR_OUT_OF_MEMORY", "gradient_checkpointing"),
        ("214:cuLaunchKernel", "CUDA_ERROR_ECC_UNCORRECTABLE", "--resume"),
        ("719:cuMemcpyDtoHAsync_v2", "CUDA_ERROR_LAUNCH_FAILED", "osler doctor"),
        ("999:cuStreamSynchronize", "CUDA_ERROR_UNKNOWN", "--resume"),
    ])
    func `a card that fails in the middle keeps the checkpoints before`(
        failure: String, code: String, remedy: String
    ) throws {
        let place = try Workplace()
        // Each row longer than those before: every step takes new memory.
        let rows = (1..<9).map { index in
            let text = String(repeating: "It is a sign. ", count: index)
            return #"{"Question": "What?", "Complex_CoT": "\#(text)", "Response": "Rest."}"#
        }
        try place.write(rows.joined(separator: "\n"), "rows.jsonl")
        let arguments = [
            "train", place.configuration, "--device", "cuda", "--quiet", "max_steps=4",
            "save_strategy=steps", "save_steps=1", "train_sampling_strategy=sequential",
        ]
        let out = place.path + "/out"
        let failing = ["CUDASIM_FAIL": "\(failure):\(out)/checkpoint-2"]
        let failed = try osler(arguments, environment: Self.card.merging(failing) { $1 })
        #expect(failed.code == 1)
        #expect(failed.errors.split(separator: "\n").count == 1, "\(failed.errors)")
        #expect(failed.errors.contains(code) && failed.errors.contains(remedy), "\(failed.errors)")
        let kept = try FileSystem.list(out).filter { $0.hasPrefix("checkpoint-") }
        #expect(kept == ["checkpoint-1", "checkpoint-2"])

        let resumed = try osler(arguments + ["--resume"], environment: Self.card)
        #expect(resumed.code == 0, "\(resumed.errors)")
        let whole = try osler(
            arguments + ["output_dir=\(place.path)/whole"], environment: Self.card)
        #expect(whole.code == 0, "\(whole.errors)")
        let adapter = "/adapter_model.safetensors"
        #expect(
            try FileSystem.read(out + adapter) == FileSystem.read(place.path + "/whole" + adapter))
    }

    @Test func `a driver that is too old is an error with its version`() throws {
        let place = try Workplace()
        let old = Self.card.merging(["CUDASIM_VERSION": "11040"]) { $1 }
        let asked = try osler(["train", place.configuration, "device=cuda"], environment: old)
        #expect(asked.code == 1)
        #expect(asked.errors.contains("it is of CUDA 11.4") && asked.errors.contains("CUDA 12"))
        let left = try osler(["train", place.configuration, "--json"], environment: old)
        #expect(left.code == 0 && left.errors.contains("the CPU computes"), "\(left.errors)")
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
