import OslerData
import OslerFormats
import OslerTestSupport
import OslerTokenizers

/// Golden files of this target and short ways to read them.
enum Golden {
    static func json(_ name: String) throws -> JSON {
        try read(Fixtures.path("data/" + name))
    }

    static func read(_ path: String) throws -> JSON {
        try MappedFile(path).withBytes { bytes in
            guard Gzip.isCompressed(bytes) else { return try JSON.parse(bytes, file: path) }
            return try JSON.parse(try Gzip.decompress(bytes, file: path), file: path)
        }
    }

    /// The 512-token tokenizer with a ChatML template that has generation markers.
    static func tinyTokenizer() throws -> Tokenizer {
        try Tokenizer.load(Fixtures.path("data/tokenizer"))
    }

    static func tinyContext(template: String? = nil) throws -> ChatContext {
        try ChatContext(
            tokenizer: try tinyTokenizer(), template: try template.map { try ChatTemplate($0) })
    }
}

extension JSON {
    var integers: [Int] { array?.compactMap(\.integer) ?? [] }

    /// `[[from, below], ...]` as a mask of `count` places.
    func mask(_ count: Int) -> [Bool] {
        var mask = Array(repeating: false, count: count)
        for span in array ?? [] {
            for index in span.integers[0]..<span.integers[1] { mask[index] = true }
        }
        return mask
    }
}

func row(_ pairs: (String, JSON)...) -> JSON.Object { JSON.Object(pairs) }

func chat(_ turns: (String, String)...) -> JSON {
    .array(
        turns.map { .object(JSON.Object([("role", .string($0)), ("content", .string($1))])) })
}

/// The one line that the user reads.
func errorLine(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch { return "\(error)" }
}
