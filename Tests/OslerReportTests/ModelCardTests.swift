import OslerFormats
import OslerTestSupport
import Testing

@testable import OslerReport

@Suite struct ModelCardTests {
    private func frontMatter(_ card: String) throws -> [Substring] {
        let lines = card.split(separator: "\n", omittingEmptySubsequences: false)
        try #require(lines.first == "---")
        let end = try #require(lines.dropFirst().firstIndex(of: "---"))
        return Array(lines[1..<end])
    }

    @Test func `names of the Hub stand in the front matter`() throws {
        var run = fullRun()
        run.record["base_model"] = ["path": "org/Model-7B"]
        run.record["data"] = [["path": "org/records"], ["path": "/private/rows.jsonl"]]
        let lines = try frontMatter(ModelCard(run).text)
        #expect(
            lines == [
                "base_model: \"org/Model-7B\"", "library_name: peft",
                "pipeline_tag: text-generation", "tags:", "- lora", "- sft", "- osler", "- qlora",
                "datasets:", "- org/records",
            ])
        #expect(ModelCard(run).text.contains("from_pretrained(\"org/Model-7B\")"))
    }

    @Test func `a path of this machine is no name of the Hub`() throws {
        for path in ["/models/org/m", "org/m.gguf", "../m", "./m", "m", "a/b/c", "Sources/<b>"] {
            #expect(ModelCard.hubID(path) == nil, "\(path)")
        }
        var run = fullRun()
        run.record["base_model"] = ["path": "/home/somebody/models/m"]
        run.record["data"] = [["path": "/home/somebody/rows.jsonl", "sha256": "abc"]]
        let card = ModelCard(run).text
        #expect(!card.contains("somebody"))
        #expect(
            try frontMatter(card).contains(
                "# base_model: ORGANISATION/NAME of the base model on the Hub"))
    }

    @Test func `limits and figures are told`() {
        let card = ModelCard(fullRun()).text
        for text in [
            "Not a medical device", "## Intended use", "## Limits", "McNemar", "50.0 %", "+12.5",
            "(before training 4.0000)", "rank, alpha | 8, 16 |",
        ] { #expect(card.contains(text), "\(text)") }
        let bare = ModelCard(RunFiles(folder: "x")).text
        #expect(
            bare.contains("## Limits") && !bare.contains("## Results")
                && !bare.contains("## Training"))
    }

    @Test func `what the files say can't mark up or break out`() throws {
        let card = ModelCard(fullRun(hostile + "\n---\nlicense: mit\n| a |")).text
        #expect(try frontMatter(card).allSatisfy { !$0.hasPrefix("license") })
        #expect(!card.contains("<script>") && !card.contains("<img"))
        #expect(card.split(separator: "\n").filter { $0 == "---" }.count == 2)
    }

    @Test func `somebody else's card is kept`() throws {
        let folder = try TemporaryFolder()
        let card = ModelCard(fullRun())
        #expect(try card.write(into: folder.path))
        #expect(try card.write(into: folder.path))
        try folder.write("# Mine\n", "README.md")
        #expect(try !card.write(into: folder.path))
        #expect(try FileSystem.readText(folder.path + "/README.md") == "# Mine\n")
    }
}
