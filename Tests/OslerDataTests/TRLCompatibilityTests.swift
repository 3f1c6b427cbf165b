import OslerData
import OslerFormats
import OslerTestSupport
import OslerTokenizers
import Testing

@Suite struct `compat trl` {
    @Test func `the reference runs are there`() { #expect(TRLCase.runs.count == 9) }

    @Test(arguments: TRLCase.runs)
    func `rows of the reference runs are prepared as TRL prepares them`(test: TRLCase) throws {
        let run = test.value
        let context = try Golden.tinyContext()
        let records = try Golden.json("train-raw.json").array ?? []
        let rows = try records.prefix(try #require(run["rows"]?.integer)).map {
            try TRLForm.row(
                $0, form: run["form"]?.string ?? "", context, joint: ("\n\nAnswer:", " "))
        }
        let configuration = try TRLForm.configuration(run["args"] ?? .null)
        let prepared = try DataPreparation(context, configuration).prepare(
            Dataset(file: "train-raw.json", rows: rows))
        try TRLForm.expect(prepared, run["prepared"]?.array ?? [])

        let arguments = try #require(run["args"])
        var batches: [[Int]] = []
        for epoch in 0..<(arguments["num_train_epochs"]?.integer ?? 0) {
            let order = epochOrder(
                count: prepared.units.count, epoch: epoch,
                seed: UInt64(arguments["data_seed"]?.integer ?? 42),
                strategy: SamplingStrategy(
                    rawValue: arguments["train_sampling_strategy"]?.string ?? "random")
                    ?? .random)
            batches += microBatchSlices(
                order, size: arguments["per_device_train_batch_size"]?.integer ?? 1)
        }
        #expect(batches == run["micro_batch_rows"]?.array?.map(\.integers))
    }

    @Test(
        .enabled(if: Fixtures.sharedIsThere, "needs the shared reference values"),
        arguments: TRLCase.dataPreparation)
    func `every form and tokenizer of data-prep`(test: TRLCase) throws {
        let value = test.value
        let context = try SharedTokenizers.context(
            value["tokenizer"]?.string ?? "", template: value["template"]?.string ?? "",
            eosToken: value["args"]?["eos_token"]?.string)
        let path = try #require(Fixtures.shared("train/data-prep-raw.json"))
        let records = try Golden.read(path).array ?? []
        func prepare() throws -> PreparedDataset {
            let rows = try records.map {
                try TRLForm.row($0, form: value["form"]?.string ?? "", context, joint: ("\n", ""))
            }
            let configuration = try TRLForm.configuration(value["args"] ?? .null)
            return try DataPreparation(context, configuration).prepare(
                Dataset(file: path, rows: rows))
        }
        if value["error"] != nil {
            #expect(throws: InputError.self) { try prepare() }
        } else {
            try TRLForm.expect(try prepare(), value["prepared"]?.array ?? [])
        }
    }
}

/// A golden case with a name that fits a line.
struct TRLCase: Sendable, CustomTestStringConvertible {
    var value: JSON

    var testDescription: String {
        ["run", "tokenizer", "template", "form", "args"].compactMap { value[$0] }
            .map { $0.string ?? $0.serialized() }.joined(separator: " ")
    }

    static let runs = (try? Golden.json("train-prepared.json"))?.array?.map(TRLCase.init) ?? []

    static let dataPreparation: [TRLCase] = {
        guard let path = Fixtures.shared("train/data-prep.json") else { return [] }
        return (try? Golden.read(path).array)?.map(TRLCase.init) ?? []
    }()
}

/// The forms that the reference made of one set of records, and its SFTConfig arguments.
enum TRLForm {
    static func row(
        _ record: JSON, form: String, _ context: ChatContext,
        joint: (prompt: String, completion: String)
    ) throws -> JSON.Object {
        let question = record["Question"]?.string ?? ""
        let response = record["Response"]?.string ?? ""
        let reasoned = "<think>\(record["Complex_CoT"]?.string ?? "")</think>\(response)"
        let tokenizer = context.tokenizer
        func ids(_ text: String) -> JSON {
            .array(tokenizer.encode(text).map { .integer(Int($0)) })
        }
        let messages = chat(("user", question), ("assistant", reasoned))
        switch form {
        case "messages": return OslerDataTests.row(("messages", messages))
        case "prompt_completion":
            return OslerDataTests.row(
                ("prompt", chat(("user", question))), ("completion", chat(("assistant", reasoned))))
        case "text_rendered":
            return OslerDataTests.row(("text", .string(try context.rendered(messages))))
        case "text", "text_plain":
            return OslerDataTests.row(("text", .string(question + "\n" + response)))
        case "text_pc":
            return OslerDataTests.row(
                ("prompt", .string(question + joint.prompt)),
                ("completion", .string(joint.completion + response)))
        case "conversations":
            let turns = [("human", question), ("gpt", response)].map {
                JSON.object(
                    OslerDataTests.row(("from", .string($0.0)), ("value", .string($0.1))))
            }
            return OslerDataTests.row(("conversations", .array(turns)))
        case "pretokenized": return OslerDataTests.row(("input_ids", ids(question)))
        case "pretokenized_mask":
            let (first, second) = (ids(question).integers, ids(response).integers)
            let mask = first.map { _ in JSON.integer(0) } + second.map { _ in JSON.integer(1) }
            return OslerDataTests.row(
                ("input_ids", .array((first + second).map(JSON.integer))),
                ("completion_mask", .array(mask)))
        default: throw InputError("unknown form \(form)")
        }
    }

    static func configuration(_ arguments: JSON) throws -> DataConfiguration {
        var configuration = DataConfiguration()
        configuration.compatibility = .trl
        configuration.completionOnlyLoss = arguments["completion_only_loss"]?.bool
        configuration.assistantOnlyLoss = arguments["assistant_only_loss"]?.bool ?? false
        configuration.maxLength = arguments["max_length"]?.integer ?? 1024
        configuration.packing = arguments["packing"]?.bool ?? false
        configuration.shuffleDataset = arguments["shuffle_dataset"]?.bool ?? false
        configuration.seed = UInt64(arguments["seed"]?.integer ?? 42)
        if let mode = arguments["truncation_mode"]?.string {
            configuration.truncationMode = try #require(TruncationMode(rawValue: mode))
        }
        return configuration
    }

    static func expect(_ prepared: PreparedDataset, _ rows: [JSON]) throws {
        #expect(prepared.units.count == rows.count)
        for (unit, row) in zip(prepared.units, rows) {
            let whole = unit.flatMap(\.ids)
            #expect(whole.map(Int.init) == row["input_ids"]?.integers)
            #expect(unit.flatMap(\.lossMask) == row["loss_spans"]?.mask(whole.count))
            if let lengths = row["seq_lengths"]?.integers {
                #expect(unit.map(\.ids.count) == lengths)
            }
        }
    }
}
