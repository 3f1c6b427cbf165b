package import OslerFormats

/// Writes a model's weights as transformers does: `model.safetensors`, or numbered shards with an index.
package enum ShardedWeights {
    /// transformers' `max_shard_size="5GB"`.
    package static let shardBytes = 5_000_000_000

    /// - Parameters:
    ///   - groups: tensors, of which those of one group come into the same file.
    ///   - bytes: called once for each tensor; gives its bytes, in one or more parts, to the function it is given.
    package static func write(
        _ groups: [[SafetensorsWriter.Entry]], into folder: String, shardBytes: Int = shardBytes,
        bytes: (SafetensorsWriter.Entry, (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        let shards = shards(groups, shardBytes)
        var map: [(String, JSON)] = []
        for (index, entries) in shards.enumerated() {
            let name = fileName(index, of: shards.count)
            var writer = try SafetensorsWriter(
                FileSystem.join(folder, name), entries: entries)
            for entry in writer.entries {
                try bytes(entry) { try writer.write(entry.name, $0) }
                map.append((entry.name, .string(name)))
            }
            try writer.finish()
        }
        guard shards.count > 1 else { return }
        map.sort { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
        let total = groups.joined().reduce(0) { $0 + $1.byteCount }
        let json: JSON = [
            "metadata": ["total_size": .integer(total)], "weight_map": .object(.init(map)),
        ]
        try AtomicFile.write(
            json.serialized(indent: 2) + "\n", to: FileSystem.join(folder, WeightStore.indexName))
    }

    private static func fileName(_ index: Int, of count: Int) -> String {
        func digits(_ number: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, 5 - text.count)) + text
        }
        return count == 1
            ? WeightStore.singleName
            : "model-\(digits(index + 1))-of-\(digits(count)).safetensors"
    }

    /// Groups in order, a new file where the next one would make it too large.
    private static func shards(
        _ groups: [[SafetensorsWriter.Entry]], _ limit: Int
    ) -> [[SafetensorsWriter.Entry]] {
        var shards: [[SafetensorsWriter.Entry]] = [[]]
        var size = 0
        for group in groups {
            let groupSize = group.reduce(0) { $0 + $1.byteCount }
            if size > 0, size + groupSize > limit {
                shards.append([])
                size = 0
            }
            shards[shards.count - 1] += group
            size += groupSize
        }
        return shards
    }
}
