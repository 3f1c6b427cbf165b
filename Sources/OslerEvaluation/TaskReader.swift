internal import OslerFormats
internal import OslerData

/// Reads evaluation items from JSON, JSONL (plain or gzipped) or CSV.
///
/// The first row decides the form of all rows:
/// - multiple choice: `question`; `options` (MedQA, HuatuoGPT-o1: a mapping of letters, a list, a list of `key` and
///   `value`, or the text of one of these) or `choices` (MMLU) or `opa` ... `opd` (MedMCQA); the right one in
///   `answer_idx` or `answer` (a letter, a place from 0, or the option's text) or `cop` (a place from 0, or from 1 where
///   the file has a 4).
/// - PubMedQA: `final_decision` (yes, no, maybe), `question` and `context` or `contexts`.
/// - open: a question, and `answer`, `answers` or `Ground-True Answer`, or else `Response`.
///
/// A JSON object of lists (HuatuoGPT-o1's `eval_data.json`) gives the names of the lists as sources; an object of objects
/// (PubMedQA's own file) their ids. `Question`, `Complex_CoT` and `Response` are a demonstration.
package struct TaskReader {
    package enum Form: String, Sendable, CaseIterable {
        case choice, open
    }

    let file: String
    let name: String
    var form: Form?

    /// - Parameter form: nil is what the first row looks like.
    /// - Throws: `InputError` with file and row for whatever is no item.
    package static func read(
        _ path: String, name: String? = nil, form: Form? = nil
    ) throws -> EvaluationTask {
        var reader = TaskReader(
            file: path, name: name ?? FileSystem.name(of: path).withoutExtension, form: form)
        return EvaluationTask(name: reader.name, file: path, items: try reader.items())
    }

    private mutating func items() throws -> [EvaluationItem] {
        let rows = try rows()
        guard let first = rows.first else {
            throw InputError(
                "has no rows", file: file, remedy: "give questions with options or answers")
        }
        form = form ?? detect(first.row)
        let startsAtOne = rows.contains { $0.row["cop"]?.wholeNumber == 4 }
        let column = TaskRow.idColumns.first { name in
            let ids = rows.compactMap { $0.row[name]?.scalarText }
            return ids.count == rows.count && Set(ids).count == ids.count
        }
        return try rows.map { place in
            let row = TaskRow(
                row: place.row, file: file, place: place.place, startsAtOne: startsAtOne)
            let id = column.flatMap { place.row[$0]?.scalarText } ?? place.id
            return try item(row, id: id, source: place.source)
        }
    }

    private func item(_ row: TaskRow, id: String, source: String?) throws -> EvaluationItem {
        let isOpen = form == .open
        return EvaluationItem(
            task: name, id: id,
            source: row.text(["source", "source_dataset", "dataset"]) ?? source,
            question: try row.question(prefersOpen: isOpen), context: row.context,
            reference: isOpen ? .open(answers: try row.openAnswers()) : try row.choice(),
            demonstration: row.demonstration)
    }

    private func detect(_ row: JSON.Object) -> Form {
        let choiceColumns = [
            "options", "choices", "opa", "final_decision", "answer_idx", "cop", "answer_index",
        ]
        return choiceColumns.contains { row[$0] != nil } ? .choice : .open
    }

    private struct Place {
        var row: JSON.Object
        /// For errors.
        var place: String
        var id: String
        var source: String?
    }

    private func rows() throws -> [Place] {
        guard (FileSystem.size(file) ?? 1) > 0 else {
            throw InputError("is empty", file: file, remedy: "give at least one question")
        }
        if file.lowercased().hasSuffix(".csv") {
            return number(try CSV.parse(FileSystem.readText(file), file: file), source: nil)
        }
        if !file.lowercased().hasSuffix(".jsonl"), let nested = try nested() { return nested }
        return number(try Dataset.read(file).rows, source: nil)
    }

    /// The rows of one object that holds all of them; nil where the file is something else.
    private func nested() throws -> [Place]? {
        let bytes = try MappedFile(file).withBytes { bytes in
            Gzip.isCompressed(bytes) ? try Gzip.decompress(bytes, file: file) : Array(bytes)
        }
        // Lines of objects are no JSON text; `Dataset` reads them and finds their faults.
        guard bytes.first(where: { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }) == UInt8(ascii: "{"),
            let whole = try? bytes.withUnsafeBytes({ try JSON.parse($0) }).object, !whole.isEmpty
        else { return nil }
        if whole.values.allSatisfy({ $0.array != nil }) {
            return try whole.pairs.flatMap { name, list in
                try number(
                    (list.array ?? []).enumerated().map { try object($1, "\(name) row \($0)") },
                    source: name)
            }
        }
        guard whole.values.allSatisfy({ $0.object != nil }) else { return nil }
        return whole.pairs.compactMap { id, row in
            row.object.map { Place(row: $0, place: "row \(id)", id: id, source: nil) }
        }
    }

    private func number(_ rows: [JSON.Object], source: String?) -> [Place] {
        rows.enumerated().map { index, row in
            Place(
                row: row, place: (source.map { $0 + " " } ?? "") + "row \(index)",
                id: (source.map { $0 + ":" } ?? "") + "\(index)", source: source)
        }
    }

    private func object(_ value: JSON, _ place: String) throws -> JSON.Object {
        guard let object = value.object else {
            throw InputError("is not an object with columns", file: file, field: place)
        }
        return object
    }
}

extension String {
    /// Without `.json`, `.jsonl`, `.csv` and `.gz`.
    var withoutExtension: String {
        for ending in [".gz", ".jsonl", ".json", ".csv"] where hasSuffix(ending) {
            return String(dropLast(ending.count)).withoutExtension
        }
        return self
    }
}
