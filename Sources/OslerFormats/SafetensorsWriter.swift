/// Writes a safetensors file piece by piece, so that a model larger than memory can be written.
/// The file appears when it is complete (see `AtomicFile`), and equal tensors give equal bytes:
/// the layout is the reference library's (wide types first, then by name).
package struct SafetensorsWriter: ~Copyable {
    package struct Entry: Sendable {
        package let name: String
        package let type: StoredType
        package let shape: [Int]

        package init(_ name: String, _ type: StoredType, _ shape: [Int]) {
            (self.name, self.type, self.shape) = (name, type, shape)
        }

        package var byteCount: Int { shape.reduce(type.byteWidth, *) }
    }

    /// The tensors in the order in which `write` wants their bytes.
    package let entries: [Entry]
    private var file: AtomicFile
    private var current = 0
    private var written = 0

    /// Starts the file with its header.
    package init(
        _ path: String, entries: [Entry], metadata: [String: String] = ["format": "pt"]
    ) throws {
        let ordered = entries.sorted {
            $0.type == $1.type
                ? $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
                : $0.type.rank > $1.type.rank
        }
        let header = Self.header(ordered, metadata)
        var file = try AtomicFile(path)
        let size = UInt64(header.count).littleEndian
        try withUnsafeBytes(of: size) { try file.write($0) }
        try header.withUnsafeBytes { try file.write($0) }
        self.entries = ordered
        self.file = file
    }

    /// Appends bytes of the tensor `name`, whose turn it must be; its parts may come one by one.
    package mutating func write(_ name: String, _ bytes: UnsafeRawBufferPointer) throws {
        if bytes.isEmpty { return }
        skipComplete()
        precondition(
            current < entries.count && entries[current].name == name
                && written + bytes.count <= entries[current].byteCount,
            "\(bytes.count) bytes of \(name) out of turn")
        try file.write(bytes)
        written += bytes.count
    }

    /// Puts the file in its place; every tensor must be complete.
    package consuming func finish() throws {
        skipComplete()
        precondition(current == entries.count, "tensors are missing")
        try file.commit()
    }

    private mutating func skipComplete() {
        while current < entries.count, written == entries[current].byteCount {
            (current, written) = (current + 1, 0)
        }
    }

    private static func header(_ entries: [Entry], _ metadata: [String: String]) -> [UInt8] {
        var header = JSON.Object()
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { ($0.key, JSON.string($0.value)) }
            header["__metadata__"] = .object(JSON.Object(pairs))
        }
        var start = 0
        for entry in entries {
            precondition(header[entry.name] == nil, "two tensors are named \(entry.name)")
            header[entry.name] = [
                "dtype": .string(entry.type.rawValue),
                "shape": .array(entry.shape.map { .integer($0) }),
                "data_offsets": [.integer(start), .integer(start + entry.byteCount)],
            ]
            start += entry.byteCount
        }
        let text = JSON.object(header).serialized(ensureASCII: false, separators: (",", ":"))
        // Spaces up to a multiple of eight keep the data aligned.
        let padding = -text.utf8.count & 7
        return Array(text.utf8) + repeatElement(0x20, count: padding)
    }

    /// Writes tensors that are in memory.
    package static func write(
        _ tensors: [(entry: Entry, bytes: [UInt8])], to path: String,
        metadata: [String: String] = ["format": "pt"]
    ) throws {
        let bytes = Dictionary(uniqueKeysWithValues: tensors.map { ($0.entry.name, $0.bytes) })
        var writer = try SafetensorsWriter(
            path, entries: tensors.map(\.entry), metadata: metadata)
        for entry in writer.entries {
            try bytes[entry.name, default: []].withUnsafeBytes { try writer.write(entry.name, $0) }
        }
        try writer.finish()
    }
}
