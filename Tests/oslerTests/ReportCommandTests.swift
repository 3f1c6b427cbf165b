import OslerFormats
import OslerTestSupport
import Testing

/// The report as a user meets it.
@Suite struct ReportCommandTests {
    @Test func `a run ends with its report and a model card`() throws {
        let place = try Workplace()
        try place.edit("rows.jsonl") { $0.replacing("What does", with: "<b>What</b> does") }
        let outcome = try osler([
            "train", place.configuration, "eval_strategy=steps", "eval_on_start=true",
        ])
        try #require(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("report: \(place.path)/out/report.html"))
        let record = try JSON.parse(file: place.path + "/out/run.json")
        #expect(record["status"] == "finished" && record["train_rows"] == 8)
        // Of coreutils' sha256sum.
        let data = try #require(record["data"]?.array?.first)
        #expect(data["sha256"]?.string?.count == 64 && data["bytes"]?.integer ?? 0 > 100)
        let files = try #require(record["base_model"]?["files"]?.array)
        #expect(files.count == 3 && files.allSatisfy { $0["sha256"]?.string?.count == 64 })
        #expect(record["memory_plan"]?["total"]?.integer ?? 0 > 0)
        #expect(record["evaluation_before"]?["eval_nll"]?.double ?? 0 > 0)
        // It quotes no record of the data.
        #expect(!record.serialized().contains("sign 3"))
        let html = try FileSystem.readText(place.path + "/out/report.html")
        #expect(html.contains("<h2>Curves</h2>") && html.contains("finished</span>"))
        let card = try FileSystem.readText(place.path + "/out/README.md")
        #expect(card.hasPrefix("---\n") && card.contains("library_name: peft"))

        try FileSystem.createDirectories(place.path + "/out/evaluation")
        try place.write(
            "{\"tasks\": [{\"name\": \"<i>t\", \"count\": 4}]}", "out/evaluation/comparison.json")
        let again = try osler(["report", place.path + "/out", "-o", place.path + "/page.html"])
        #expect(again.code == 0, "\(again.errors)")
        let page = try FileSystem.readText(place.path + "/page.html")
        #expect(page.contains("<h2>Evaluation</h2>") && page.contains("&lt;i&gt;t"))
    }

    @Test func `a run that failed says so, and one that is no run is refused`() throws {
        let place = try Workplace()
        let outcome = try osler([
            "train", place.configuration, "learning_rate=1e30", "max_steps=20",
        ])
        #expect(outcome.code == 1)
        let record = try JSON.parse(file: place.path + "/out/run.json")
        #expect(record["status"] == "failed" && record["error"]?.string?.contains("finite") == true)
        let html = try FileSystem.readText(place.path + "/out/report.html")
        #expect(html.contains("failed</span>"))
        #expect(!FileSystem.exists(place.path + "/out/README.md"))
        let none = try osler(["report", place.model])
        #expect(none.code == 1 && none.errors.contains("holds no run.json"))
        #expect(none.errors.split(separator: "\n").count == 1)
    }
}
