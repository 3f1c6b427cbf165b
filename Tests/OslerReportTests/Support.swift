import OslerFormats
import OslerTestSupport

@testable import OslerReport

/// A folder of its own, removed at the end.
final class TemporaryFolder {
    let path = Fixtures.temporaryFolder()
    init() throws { try FileSystem.createDirectories(path) }
    deinit { try? FileSystem.remove(path) }

    func write(_ text: String, _ name: String) throws {
        try FileSystem.createDirectories(FileSystem.parent(of: path + "/" + name))
        try AtomicFile.write(text, to: path + "/" + name)
    }
}

/// What an attacker would like to have in a page.
let hostile =
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u{0}\u{1B}[31m</style>"

/// A run with something in each part; `text` stands wherever the run's files have text.
func fullRun(_ text: String = "plain") -> RunFiles {
    var run = RunFiles(folder: "out")
    let string = JSON.string(text)
    let file: JSON = ["path": string, "bytes": 2048, "sha256": string]
    for key in ["osler", "name", "started", "ended", "command", "error", "quantization"] {
        run.record[key] = string
    }
    run.record["status"] = "finished"
    let recipe = JSON.Object([
        (text, string), ("learning_rate", .number(1e-4)), ("load_in_4bit", .bool(true)),
    ])
    run.record["configuration"] = .object(recipe)
    run.record["base_model"] = [
        "path": string, "type": string, "layers": 2, "parameters": 1234, "files": .array([file]),
    ]
    run.record["data"] = .array([file])
    run.record["adapter"] = [
        "r": 8, "lora_alpha": 16.0, "target_modules": .array([string]), "folder": string,
        "parameters": 64,
    ]
    run.record["preflight"] = preflight(text)
    let plan = JSON.Object([
        (text, .integer(100_000_000)), ("total", .integer(120_000_000)),
        ("recomputed_blocks", .integer(3)),
    ])
    run.record["memory_plan"] = .object(plan)
    run.record["peak_bytes"] = 110_000_000
    run.record["machine"] = ["processor": string, "threads": 2]
    run.record["evaluation_before"] = ["eval_loss": 4.0, "eval_nll": 4.0]
    run.record["summary"] = ["train_runtime": 75.0]
    for step in 1...10 {
        let loss = 3 / Double(step)
        run.log.append([
            "loss": .number(loss), "grad_norm": 0.5, "learning_rate": 1e-4, "step": .integer(step),
        ])
        run.steps.append([
            "step": .integer(step), "tokens": 100, "seconds": 0.5, "resident_bytes": 90_000_000,
        ])
        guard step % 5 == 0 else { continue }
        run.log.append([
            "eval_loss": .number(loss + 1), "eval_nll": .number(loss + 1),
            "eval_perplexity": 7.5, "step": .integer(step),
        ])
    }
    run.comparison = ["tasks": .array([task(string)])]
    func item(_ id: Int, base: Bool, tuned: Bool) -> JSON {
        func side(_ correct: Bool) -> JSON {
            [
                "output": .string("<think>\(text) thought \(id)</think>\(text) said"),
                "answer": string, "correct": .bool(correct),
            ]
        }
        return [
            "task": string, "id": .integer(id), "question": string, "reference": string,
            "options": .object([text: string]), "base": side(base), "tuned": side(tuned),
        ]
    }
    run.items = [
        item(1, base: false, tuned: true), item(2, base: true, tuned: false),
        item(3, base: true, tuned: true), item(4, base: false, tuned: false),
    ]
    return run
}

private func preflight(_ text: String) -> JSON {
    let lengths: JSON = ["median": 80, "percentile_95": 200, "longest": 371]
    let policy: JSON = ["policy": .string(text), "max_length": 300, "too_long": [4]]
    let proof: JSON = ["holds": false, "rows": 3]
    let split = JSON.Object([
        ("name", .string(text)), ("rows", .integer(60)), ("rows_left", .integer(59)),
        ("tokens", .integer(5000)), ("tokens_in_loss", .integer(4000)),
        ("share_in_loss", .number(0.8)), ("lengths", lengths), ("length_policy", policy),
        ("proofs", .object(JSON.Object([(text, proof)]))),
    ])
    let repeated: JSON = [1, 2]
    return .object(
        JSON.Object([
            ("splits", .array([.object(split)])),
            ("duplicates", ["within": .object(JSON.Object([(text, repeated)]))]),
            ("warnings", .array([.string(text)])),
        ]))
}

private func task(_ name: JSON) -> JSON {
    let side: JSON = ["accuracy": 0.5, "low": 0.4, "high": 0.6]
    let first: JSON = ["source": name, "count": 20, "base": side, "tuned": .null]
    let second: JSON = ["source": "b", "count": 20, "base": .null, "tuned": .null]
    let without: JSON = ["base": side, "tuned": side]
    return .object(
        JSON.Object([
            ("name", name), ("count", .integer(40)), ("base", side), ("tuned", side),
            ("difference", .number(0.125)), ("difference_low", .number(0.025)),
            ("difference_high", .number(0.225)), ("mcnemar_p", .number(0.0213)),
            ("won", .integer(6)), ("lost", .integer(1)), ("per_source", .array([first, second])),
            ("contamination", ["count": 1, "without": without]),
        ]))
}
