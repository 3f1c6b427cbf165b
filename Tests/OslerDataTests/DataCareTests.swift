import OslerFormats
import OslerTestSupport
import Testing

@testable import OslerData

/// All of these people, numbers and places are made up.
@Suite struct `Data care` {
    @Test(arguments: [
        ("Seen on 03/14/2021 at the clinic.", HealthIdentifier.date, "03/14/2021"),
        ("Born 1984-02-29, admitted later.", .date, "1984-02-29"),
        ("Am 05.11.19 entlassen.", .date, "05.11.19"),
        ("She came on March 3rd, 2019 with pain.", .date, "March 3rd, 2019"),
        ("on the 21st of August 2020, again", .date, "21st of August 2020"),
        ("until 4 Sept it was worse", .date, "4 Sept"),
        ("Call 555-010-4477 today", .phone, "555-010-4477"),
        ("Call (555) 010-4477 today", .phone, "(555) 010-4477"),
        ("Call 1 555 010 4477.", .phone, "1 555 010 4477"),
        ("Tel. +49 30 5550 1234", .phone, "+49 30 5550 1234"),
        ("write to j.doe@example.org, please", .email, "j.doe@example.org"),
        ("MRN: 00123456 was closed", .recordNumber, "MRN: 00123456"),
        ("her Medical Record Number is A-19283", .recordNumber, "Medical Record Number is A-19283"),
        ("SSN 078-05-1120", .recordNumber, "SSN 078-05-1120"),
        ("the number 078-05-1120 stands", .recordNumber, "078-05-1120"),
        ("lives at 221 Old Baker Street now", .address, "221 Old Baker Street"),
        ("Boston, MA 02139", .address, "MA 02139"),
        ("Mr. Samplewood complains", .name, "Mr. Samplewood"),
        ("Dr Ann Example said", .name, "Dr Ann Example"),
        ("a boy named Testrick fell", .name, "named Testrick"),
        ("Patient name: Jo Nobody", .name, "Patient name: Jo Nobody"),
    ])
    func `an identifier is found whole`(text: String, kind: HealthIdentifier, value: String) {
        let found = HealthIdentifier.matches(in: text)
        #expect(found.map(\.kind) == [kind])
        #expect(
            found.map { String(decoding: Array(text.utf8)[$0.range], as: UTF8.self) } == [value])
    }

    @Test(arguments: [
        "A 45-year-old man has a blood pressure of 120/80 mmHg and 3 to 5 episodes a day.",
        "Sodium 135-145 mEq/L, pH 7.35-7.45, 0.5-1.0 mg, ratio 3/4, version 1.2.3, 10-20-30",
        "In 2019 it may 5 times exceed 13.13.2013 or 2020-13-41.",
        "Dr. The answer is named after what was seen; Mr. and Mrs. agree. CD4 count 350.",
        "100,000 cells; 1234567890123; 12-34; the MRN is not known; IL 6 and IL-10 rise.",
        "500 Mg Tablets were given, and 20 Units. a@b is no address.",
        "",
    ])
    func `what is no identifier is left`(text: String) {
        #expect(HealthIdentifier.matches(in: text) == [])
    }

    @Test(arguments: [
        (
            "The patient is a man with pain in the chest that was worse in the night.",
            "en" as String?
        ),
        (
            "Der Patient ist ein Mann mit Schmerzen, die in der Nacht und bei Belastung auftreten.",
            "de"
        ),
        ("Le patient est un homme avec des douleurs dans la poitrine qui sont pour lui.", "fr"),
        ("El paciente es un hombre con dolor en el pecho que por la noche no se va.", "es"),
        ("患者是一名男性，夜间胸痛加重，伴有出汗和呼吸困难。", "zh"),
        ("У пациента боль в груди, которая усиливается ночью и при нагрузке.", "ru"),
        ("BP 120/80", nil),
    ])
    func `languages are told apart`(text: String, language: String?) {
        #expect(TextLanguage.guess(text) == language)
    }

    private func conflict(_ answer: String, _ index: JSON, _ response: String) -> String? {
        let columns = JSON.Object([
            ("options", ["A": "Aspirin", "B": "Heparin", "C": "Vitamin C"]), ("answer_idx", index),
            ("answer", .string(answer)),
        ])
        return OptionConflict(columns, response: response, row: 7)?.problem
    }

    @Test func `answers that contradict their options`() {
        #expect(conflict("heparin.", "B", "Give heparin.") == nil)
        #expect(conflict("Heparin", .integer(1), "The answer is B.") == nil)
        #expect(conflict("Heparin", "B", "The answer is A Priori unclear") == nil)
        #expect(conflict("Aspirin", "B", "")?.contains("option B") == true)
        #expect(conflict("Heparin", "E", "")?.contains("none of the options") == true)
        #expect(conflict("Heparin", "B", "The answer is (C).")?.contains("says C") == true)
        #expect(conflict("Heparin", "B", "Answer is A? No: the answer is B.") == nil)
    }

    private func care(_ splits: [[(String, String)]]) throws -> (DataCare, PreflightReport) {
        let preparation = DataPreparation(try Golden.tinyContext(), DataConfiguration())
        let prepared = try zip(splits, ["train", "eval"]).map { rows, name in
            try preparation.prepare(
                Dataset(
                    file: "rows.json",
                    rows: rows.map { row(("messages", chat(("user", $0.0), ("assistant", $0.1)))) }),
                name: name)
        }
        let care = try DataCare(prepared, threads: 2)
        var report = try Preflight.run(prepared, preparation)
        report.care = care
        return (care, report)
    }

    private let question =
        "A man of middle age comes with chest pain that began two hours ago while he climbed the "
        + "stairs to his flat and that spreads to the left arm and the jaw. What is most likely?"

    @Test func `questions that are nearly the same are found across splits`() throws {
        let changed = question.replacing("two hours", with: "three hours")
        let other = question.replacing(
            "chest pain that began", with: "a rash on his hands which came"
        )
        .replacing("climbed the stairs to his flat", with: "worked with glue in a garage")
        let (care, _) = try care([
            [(question, "Infarction"), (other, "Eczema")],
            [(question, "A new answer"), (changed, "Infarction")],
        ])
        let pair = try #require(care.nearDuplicates.first)
        #expect(care.nearDuplicates.count == 1)
        #expect((pair.split, pair.row, pair.otherSplit, pair.otherRow) == ("eval", 1, "train", 0))
        let (a, b) = (NearDuplicates.shingles(question), NearDuplicates.shingles(changed))
        let (common, all) = (Set(a).intersection(b).count, Set(a).union(b).count)
        #expect(pair.similarity == Double(common) / Double(all) && pair.similarity < 1)
    }

    @Test func `the report names places, never values`() throws {
        let think = "<think>Think.</think>"
        let (care, report) = try care([
            [
                ("Höhe: Mr. Samplewood, born 03/14/2021?", think + "Yes."),
                ("Call 555-010-4477", "<think> </think>No."),
                ("Der Patient ist ein Mann mit Schmerzen und mit Fieber.", think + " "),
                ("The man is in pain and the woman is not. Which of the two is it?", think + "He."),
            ]
        ])
        let split = try #require(care.splits.first)
        #expect(split.identifiers[.name] == [DataCare.Place(row: 0, part: "user", character: 6)])
        #expect(split.identifiers[.date]?.map(\.row) == [0])
        #expect(split.flaws.filter { $0.kind == .emptyReasoning }.map(\.row) == [1])
        #expect(split.flaws.filter { $0.kind == .emptyResponse }.map(\.row) == [2])
        let text = report.text(colour: false)
        #expect(text.contains("1 dates, 1 phone numbers, 1 names"))
        let lines = care.lines().joined(separator: "\n")
        let json = report.json["care"]?.serialized() ?? ""
        #expect(json.contains("\"phone\""))
        for value in ["Samplewood", "03/14", "555-010"] {
            #expect(!lines.contains(value) && !json.contains(value))
        }
        #expect(throws: InputError.self) { try care.checkIdentifiers() }
    }
}
