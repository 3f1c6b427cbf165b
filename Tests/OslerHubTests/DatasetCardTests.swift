import OslerFormats
import OslerHub
import Testing

@Suite struct `Data set cards` {
    @Test func `the header is between two lines`() {
        #expect(DatasetCard.header("---\nconfigs:\n- a\n---\n# Title") == "configs:\n- a")
        #expect(DatasetCard.header("---\r\na: 1\r\n---\r\n") == "a: 1")
        #expect(DatasetCard.header("# Title\n---\na\n---") == nil)
        #expect(DatasetCard.header("---\na: 1") == nil)
    }

    /// FreedomIntelligence/medical-o1-reasoning-SFT's form.
    private let medical: JSON = [
        "configs": [
            ["config_name": "en", "data_files": "medical_o1_sft.json"],
            ["config_name": "zh", "data_files": "medical_o1_sft_Chinese.json"],
        ]
    ]

    @Test func `a configuration names its file`() throws {
        let files = ["README.md", "medical_o1_sft.json", "medical_o1_sft_Chinese.json"]
        let card = try DatasetCard(medical, files: files, name: "d")
        #expect(try card.files(configuration: "en", split: "train") == ["medical_o1_sft.json"])
        #expect(
            line { _ = try card.files(configuration: nil, split: "train") }
                == #"d: has several configurations; dataset_config_name can be "en", "zh""#)
        #expect(
            line { _ = try card.files(configuration: "fr", split: "train") }
                == #"d: has no configuration "fr"; dataset_config_name can be "en", "zh""#)
        #expect(
            line { _ = try card.files(configuration: "en", split: "test") }
                == #"d: has no split "test"; dataset_split can be "train""#)
    }

    @Test func `splits have patterns`() throws {
        let json: JSON = [
            "configs": [
                [
                    "config_name": "default",
                    "data_files": [
                        ["split": "train", "path": ["data/train-*", "more/*.parquet"]],
                        ["split": "test", "path": "data/test-*"],
                    ],
                ], ["config_name": "other", "data_dir": "other", "data_files": ["test": "*.json"]],
            ]
        ]
        let files = [
            "data/test-0.parquet", "data/train-0.parquet", "data/train-1.parquet", "more/x.parquet",
            "other/a.json",
        ]
        let card = try DatasetCard(json, files: files, name: "d")
        #expect(
            try card.files(configuration: nil, split: "train") == [
                "data/train-0.parquet", "data/train-1.parquet", "more/x.parquet",
            ])
        #expect(try card.files(configuration: nil, split: "test") == ["data/test-0.parquet"])
        #expect(try card.files(configuration: "other", split: "test") == ["other/a.json"])
    }

    @Test(arguments: [
        (["a.json", "README.md"], "train", ["a.json"]),
        (["train.jsonl", "test.jsonl"], "test", ["test.jsonl"]),
        (["data/train-0.parquet", "data/dev.parquet"], "validation", ["data/dev.parquet"]),
        (["train/a.csv", "test/a.csv", ".x/train.csv"], "train", ["train/a.csv"]),
        (["contrast.json", "train[1].json"], "train", ["train[1].json"]),
    ]) func `without a card names decide`(files: [String], split: String, chosen: [String]) throws {
        let card = try DatasetCard(.null, files: files, name: "d")
        #expect(try card.files(configuration: nil, split: split) == chosen)
    }

    @Test func `what can't be read is named`() throws {
        let card = try DatasetCard(.null, files: ["a.py"], name: "d")
        #expect(
            line { _ = try card.files(configuration: nil, split: "train") }?
                .hasPrefix("d: has no data files that are read") == true)
        let arrow: JSON = ["configs": [["config_name": "default", "data_files": "*.arrow"]]]
        #expect(
            line {
                _ = try DatasetCard(arrow, files: ["a.arrow"], name: "d")
                    .files(configuration: nil, split: "train")
            }?.hasPrefix("d: a.arrow: is in a format that is not read") == true)
        for bad: JSON in [[["x": 1]], [["config_name": "a", "data_files": 3]]] {
            #expect(line { _ = try DatasetCard(["configs": bad], files: [], name: "d") } != nil)
        }
    }

    private func line(_ body: () throws -> Void) -> String? { errorLine(body) }
}
