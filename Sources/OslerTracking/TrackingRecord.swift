internal import OslerFormats

/// `tracking.json` in the output folder: what a resumed run must know to go on in the same places.
struct TrackingRecord {
    let path: String
    private var object: JSON.Object

    init(outputDirectory: String) throws {
        path = FileSystem.join(outputDirectory, "tracking.json")
        guard FileSystem.exists(path) else {
            object = [:]
            return
        }
        guard let object = try JSON.parse(file: path).object else {
            throw InputError(
                "not a JSON object", file: path, remedy: "remove it to track the run anew")
        }
        self.object = object
    }

    subscript(key: String) -> String? { object[key]?.string }

    mutating func set(_ key: String, _ value: String) throws {
        object[key] = .string(value)
        try AtomicFile.write(JSON.object(object).serialized(indent: 2) + "\n", to: path)
    }
}
