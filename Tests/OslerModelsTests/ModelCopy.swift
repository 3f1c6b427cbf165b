import OslerFormats
import OslerTestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The files of a fixture's folder in one of its own, to be damaged; removed at the end.
final class ModelCopy {
    typealias Stored = (type: StoredType, shape: [Int], bytes: [UInt8])

    let path = Fixtures.temporaryFolder()

    init(_ fixture: String) throws {
        try FileSystem.createDirectories(path)
        for name in try FileSystem.list(Fixtures.path(fixture)) {
            symlink(Fixtures.path(fixture + "/" + name), file(name))
        }
    }

    deinit { try? FileSystem.remove(path) }

    func file(_ name: String) -> String { FileSystem.join(path, name) }

    /// Sets a key of a JSON file (`rope_parameters.factor`); nil removes it.
    func set(_ key: String, _ value: JSON?, in name: String = "config.json") throws {
        var object = try JSON.parse(file: file(name)).object ?? [:]
        let parts = key.split(separator: ".", maxSplits: 1).map(String.init)
        if parts.count == 2 {
            var section = object[parts[0]]?.object ?? [:]
            section[parts[1]] = value
            object[parts[0]] = .object(section)
        } else {
            object[key] = value
        }
        try AtomicFile.write(JSON.object(object).serialized(), to: file(name))
    }

    /// Rewrites a safetensors file with changed tensors; a nil removes one.
    func change(
        _ name: String = WeightStore.singleName,
        _ change: (inout [String: Stored]) -> Void
    ) throws {
        var tensors: [String: Stored] = [:]
        for tensor in try SafetensorsFile(file(name)).tensors {
            tensors[tensor.name] = (tensor.type, tensor.shape, tensor.withBytes { Array($0) })
        }
        change(&tensors)
        try SafetensorsWriter.write(
            tensors.sorted { $0.key < $1.key }.map { name, stored in
                (SafetensorsWriter.Entry(name, stored.type, stored.shape), stored.bytes)
            }, to: file(name))
    }
}

extension [UInt8] {
    /// With the first float32 replaced.
    func beginning(with value: Float) -> [UInt8] {
        Swift.withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } + dropFirst(4)
    }
}

/// The error of bad input that `body` throws; nil when it throws none.
func refusal(_ body: () throws -> Void) throws -> InputError? {
    do {
        try body()
        return nil
    } catch let error as InputError {
        return error
    }
}
