/// The weights of a Hugging Face model folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists; or one safetensors file by itself.
package struct WeightStore: Sendable {
    package let path: String
    private let files: [SafetensorsFile]
    /// Which file holds each tensor.
    private let places: [String: Int]

    package static let singleName = "model.safetensors"
    package static let indexName = "model.safetensors.index.json"

    /// - Throws: `InputError` for a folder without weights, a missing or damaged shard, or an
    ///   index that names tensors the shards don't have.
    package init(_ path: String) throws {
        let single = FileSystem.join(path, Self.singleName)
        let index = FileSystem.join(path, Self.indexName)
        if !FileSystem.isDirectory(path) {
            self.init(path, [try SafetensorsFile(path)])
        } else if FileSystem.exists(single) {
            self.init(path, [try SafetensorsFile(single)])
        } else if FileSystem.exists(index) {
            self = try Self.sharded(path, index)
        } else {
            throw InputError(
                "has neither \(Self.singleName) nor \(Self.indexName)", file: path,
                remedy: "give a model folder with safetensors weights")
        }
    }

    private init(_ path: String, _ files: [SafetensorsFile]) {
        (self.path, self.files) = (path, files)
        var places: [String: Int] = [:]
        for (place, file) in files.enumerated() {
            for tensor in file.tensors { places[tensor.name] = place }
        }
        self.places = places
    }

    private static func sharded(_ path: String, _ index: String) throws -> WeightStore {
        guard let map = try JSON.parse(file: index)["weight_map"]?.object, !map.isEmpty else {
            throw InputError("lists no tensors", file: index, field: "weight_map")
        }
        var shardNames: Set<String> = []
        for (tensor, value) in map.pairs {
            guard let name = value.string, !name.isEmpty, !name.contains("/"), name != ".." else {
                throw InputError("is not the name of a file", file: index, field: tensor)
            }
            shardNames.insert(name)
        }
        let shards = try shardNames.sorted().map { name in
            let shard = FileSystem.join(path, name)
            guard FileSystem.exists(shard) else {
                throw InputError(
                    "is missing, \(Self.indexName) lists it", file: shard,
                    remedy: "fetch the whole model")
            }
            return try SafetensorsFile(shard)
        }
        let byName = Dictionary(
            uniqueKeysWithValues: zip(shardNames.sorted(), shards).map { ($0, $1) })
        for (tensor, value) in map.pairs {
            guard let name = value.string, byName[name]?[tensor] != nil else {
                throw InputError(
                    "\(value.string ?? "") has no tensor of this name", file: index, field: tensor)
            }
        }
        return WeightStore(path, shards)
    }

    /// In the order of the files.
    package var tensors: [StoredTensor] { files.flatMap(\.tensors) }
    package var names: [String] { tensors.map(\.name) }
    package var byteCount: Int { tensors.reduce(0) { $0 + $1.byteRange.count } }
    package var metadata: [String: String] { files.first?.metadata ?? [:] }

    package subscript(name: String) -> StoredTensor? { places[name].flatMap { files[$0][name] } }

    /// - Throws: `InputError` when the model has no such tensor.
    package func tensor(_ name: String) throws -> StoredTensor {
        guard let tensor = self[name] else {
            throw InputError("has no tensor of this name", file: path, field: name)
        }
        return tensor
    }
}
