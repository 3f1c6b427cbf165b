import Foundation
import OslerFormats
import OslerTestSupport
import Testing

/// What `make gpu-check` runs, on the simulator's card.
@Suite struct GPUCheckTests {
    private func check(_ arguments: [String], memory: String? = nil) throws -> Outcome {
        var environment = DeviceTests.card
        environment["CUDASIM_MEMORY"] = memory
        return try launch("osler-gpu-check", arguments, environment: environment)
    }

    @Test func `a right backend is found to be right`() throws {
        let outcome = try check(["correctness", "--every", "300"])
        #expect(outcome.code == 0, "\(outcome.output) \(outcome.errors)")
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.first == "CudaSim" && lines.last == "correct")
        for op in ConformanceOp.allCases {
            #expect(lines.count { $0.hasPrefix("ok     \(op.rawValue), ") } >= 2, "\(op)")
        }
    }

    /// A card with too little memory stands for a defect.
    @Test func `what is wrong is named, and ends the check`() throws {
        let outcome = try check(["correctness", "--every", "6"], memory: "34000000")
        #expect(outcome.code == 1 && !outcome.output.contains("correct\n"))
        #expect(outcome.output.contains("WRONG  "), "\(outcome.output)")
        #expect(outcome.output.contains("CUDA_ERROR_OUT_OF_MEMORY"), "\(outcome.output)")
    }

    @Test(arguments: [
        (["ceilings"], ["copy", "matrix product"]),
        (["head", "--rows", "9", "--vocabulary", "40", "--width", "32"], ["head and loss"]),
        (
            ["attention", "--tokens", "70", "--heads", "2", "--key-heads", "1", "--width", "16"],
            ["attention forward", "attention backward"]
        ),
        (["decode", "--shape", "tiny", "--prompt", "3", "--tokens", "3"], ["decoding"]),
    ])
    func `a measurement is an object a line`(arguments: [String], names: [String]) throws {
        let outcome = try check(arguments)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let found = try outcome.output.split(separator: "\n").map { try JSON.parse(String($0)) }
        #expect(found.map { $0["name"]?.string } == names)
        for one in found {
            let rate = one["flops_per_second"] ?? one["bytes_per_second"]
            #expect(rate?.double ?? 0 > 0)
            if let scratch = one["scratch_bytes"]?.integer {
                // Logits and their gradient, beside cuBLASLt's 32 MiB.
                #expect(scratch >= 32 << 20 + 9 * 40 * 6 && scratch < 33 << 20)
            }
        }
    }

    /// The whole script, with rivals that aren't there.
    @Test func `the script writes a table and what it found`() throws {
        let output = Fixtures.temporaryFolder()
        defer { try? FileSystem.remove(output) }
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let script = source.appendingPathComponent("Scripts/gpu-check").path
        let binaries = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        let outcome = try launch(
            "/usr/bin/env",
            [
                "python3", script, "--tiny", "--binaries", binaries.path, "--output", output,
                "--python", "/nowhere/python",
            ], environment: DeviceTests.card)
        try #require(outcome.code == 0, "\(outcome.output) \(outcome.errors)")
        let names = try FileSystem.list(output)
        let table = try #require(names.first { $0.hasSuffix(".md") })
        let text = try FileSystem.readText(output + "/" + table)
        for figure in ["card | CudaSim", "head and loss, scratch", "decoding NF4", "tokens/s"] {
            #expect(text.contains(figure), "\(figure)")
        }
        #expect(text.contains("trl bf16 | failed") || text.contains("trl bf16 | left out"))
    }
}
