import Foundation
import OslerFormats
import OslerTestSupport

/// What a run of the program printed, and how it ended.
struct Outcome {
    var code: Int32
    var output: String
    var errors: String
}

/// Runs the built `osler`, which stands beside the test bundle.
///
/// - Parameters:
///   - largestFile: the shell's limit on files that it writes, in KiB.
///   - environment: variables besides those of the tests.
func osler(
    _ arguments: [String], input: String = "", largestFile: Int? = nil,
    environment: [String: String] = [:]
) throws -> Outcome {
    try launch(
        "osler", arguments, input: input, largestFile: largestFile, environment: environment)
}

/// The same with a program of another name, or path.
func launch(
    _ name: String, _ arguments: [String], input: String = "", largestFile: Int? = nil,
    environment: [String: String] = [:]
) throws -> Outcome {
    let bundle = URL(fileURLWithPath: CommandLine.arguments[0])
    let program = URL(fileURLWithPath: name, relativeTo: bundle.deletingLastPathComponent())
    let process = Process()
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let largestFile {
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments =
            ["-c", "ulimit -f \(largestFile); exec \"$0\" \"$@\"", program.path] + arguments
    } else {
        process.executableURL = program
        process.arguments = arguments
    }
    let (stdin, stdout, stderr) = (Pipe(), Pipe(), Pipe())
    (process.standardInput, process.standardOutput, process.standardError) = (stdin, stdout, stderr)
    try process.run()
    stdin.fileHandleForWriting.write(Data(input.utf8))
    try stdin.fileHandleForWriting.close()
    let output = stdout.fileHandleForReading.readDataToEndOfFile()
    let errors = stderr.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
        code: process.terminationStatus, output: String(decoding: output, as: UTF8.self),
        errors: String(decoding: errors, as: UTF8.self))
}

/// A folder of its own with the tiny model, its tokenizer, a data set and a configuration; removed at the end.
final class Workplace {
    let path = Fixtures.temporaryFolder()
    var model: String { path + "/model" }
    var configuration: String { path + "/run.yaml" }

    init() throws {
        try FileSystem.createDirectories(model)
        for (from, to) in [
            ("base/config.json", "config.json"), ("base/model.safetensors", "model.safetensors"),
            ("tokenizer/tokenizer.json", "tokenizer.json"),
            ("tokenizer/tokenizer_config.json", "tokenizer_config.json"),
            ("tokenizer/chat_template.jinja", "chat_template.jinja"),
        ] {
            try AtomicFile.write(
                try FileSystem.read(Fixtures.path("lora/" + from)), to: model + "/" + to)
        }
        let rows = (0..<10).map {
            """
            {"Question": "What does sign \($0) mean?", "Complex_CoT": "It is sign \($0).", "Response": "Rest \($0)."}
            """
        }
        try write(rows.joined(separator: "\n"), "rows.jsonl")
        try write(
            """
            base_model_name: \(model)
            dataset_name: \(path)/rows.jsonl
            output_dir: \(path)/out
            max_steps: 2
            per_device_train_batch_size: 2
            learning_rate: 1.0e-3
            logging_steps: 1
            eval_strategy: "no"
            save_strategy: "no"
            target_modules: all-linear
            threads: 2
            """, "run.yaml")
    }

    deinit { try? FileSystem.remove(path) }

    func write(_ text: String, _ name: String) throws {
        try AtomicFile.write(text, to: path + "/" + name)
    }

    func edit(_ name: String, _ change: (String) -> String) throws {
        try write(change(try FileSystem.readText(path + "/" + name)), name)
    }

    func cut(_ name: String, to count: Int) throws {
        try AtomicFile.write(
            Array(try FileSystem.read(path + "/" + name).prefix(count)), to: path + "/" + name)
    }
}
