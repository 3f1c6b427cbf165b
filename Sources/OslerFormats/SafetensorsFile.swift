/// A safetensors file, mapped: a JSON header of names, types, shapes and places, then the data.
///
/// Checked as strictly as the reference library does: every tensor's length is that of its type
/// and shape, and the tensors fill the data without gap or overlap.
package struct SafetensorsFile: Sendable {
    package let path: String
    /// In the order of the header.
    package let tensors: [StoredTensor]
    /// The `__metadata__` strings, such as `format`.
    package let metadata: [String: String]
    private let places: [String: Int]

    /// The reference library's own limit.
    private static let largestHeader = 100_000_000

    package init(_ path: String) throws {
        self.path = path
        let file = try MappedFile(path)
        let (header, dataStart) = try Self.header(of: file)
        metadata = try Self.metadata(header["__metadata__"], path)
        let tensors = try header.pairs.filter { $0.key != "__metadata__" }.map {
            try Self.tensor($0.key, $0.value, file, dataStart)
        }
        try Self.checkCoverage(tensors, file, dataStart)
        places = Dictionary(
            uniqueKeysWithValues: tensors.indices.map { (tensors[$0].name, $0) })
        self.tensors = tensors
    }

    package var names: [String] { tensors.map(\.name) }

    package subscript(name: String) -> StoredTensor? { places[name].map { tensors[$0] } }

    /// - Throws: `InputError` when the file has no such tensor.
    package func tensor(_ name: String) throws -> StoredTensor {
        guard let tensor = self[name] else {
            throw InputError("has no tensor of this name", file: path, field: name)
        }
        return tensor
    }

    private static func header(of file: MappedFile) throws -> (JSON.Object, dataStart: Int) {
        try file.withBytes { bytes in
            guard bytes.count >= 8 else {
                throw InputError(
                    "is \(bytes.count) bytes long, too short for a safetensors file",
                    file: file.path, remedy: "fetch it again")
            }
            let claimed = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
            guard claimed <= UInt64(bytes.count - 8) else {
                throw InputError(
                    "the header claims \(claimed) bytes, the file has \(bytes.count - 8)",
                    file: file.path, remedy: "it is cut or no safetensors file: fetch it again")
            }
            guard claimed <= UInt64(largestHeader) else {
                throw InputError("a header of \(claimed) bytes is too large", file: file.path)
            }
            let end = 8 + Int(claimed)
            let text = UnsafeRawBufferPointer(rebasing: bytes[8..<end])
            guard let header = try JSON.parse(text, file: file.path + ": header").object else {
                throw InputError("the header is not a JSON object", file: file.path)
            }
            return (header, end)
        }
    }

    private static func metadata(_ value: JSON?, _ path: String) throws -> [String: String] {
        var metadata: [String: String] = [:]
        guard let value, !value.isNull else { return metadata }
        guard let object = value.object else {
            throw InputError("is not an object of strings", file: path, field: "__metadata__")
        }
        for (key, value) in object.pairs {
            guard let text = value.string else {
                throw InputError("\(key) is not a string", file: path, field: "__metadata__")
            }
            metadata[key] = text
        }
        return metadata
    }

    private static func tensor(
        _ name: String, _ entry: JSON, _ file: MappedFile, _ dataStart: Int
    ) throws -> StoredTensor {
        func failure(_ problem: String) -> InputError {
            InputError(problem, file: file.path, field: name)
        }
        guard let typeName = entry["dtype"]?.string else { throw failure("has no dtype") }
        guard let type = StoredType(rawValue: typeName) else {
            let known = StoredType.allCases.map(\.rawValue).joined(separator: ", ")
            throw failure("unknown dtype \(typeName); known are \(known)")
        }
        guard let shape = entry["shape"].flatMap(integers),
            let count = elementCount(shape),
            case let (length, overflow) = count.multipliedReportingOverflow(by: type.byteWidth),
            !overflow
        else { throw failure("the shape is not a list of sizes") }
        guard let offsets = entry["data_offsets"].flatMap(integers), offsets.count == 2,
            offsets[0] >= 0, offsets[0] <= offsets[1]
        else { throw failure("data_offsets are not a start and an end") }
        let available = file.count - dataStart
        guard offsets[1] <= available else {
            throw InputError(
                "ends at byte \(offsets[1]) of the data, which has \(available)",
                file: file.path, field: name, remedy: "the file is cut: fetch it again")
        }
        guard offsets[1] - offsets[0] == length else {
            throw failure(
                "\(typeName) \(shape) needs \(length) bytes, "
                    + "data_offsets give \(offsets[1] - offsets[0])")
        }
        return StoredTensor(
            name: name, type: type, shape: shape, file: file,
            byteRange: (dataStart + offsets[0])..<(dataStart + offsets[1]))
    }

    private static func integers(_ value: JSON) -> [Int]? {
        guard let array = value.array else { return nil }
        let integers = array.compactMap { if case .integer(let i) = $0 { i } else { nil } }
        return integers.count == array.count ? integers : nil
    }

    private static func checkCoverage(
        _ tensors: [StoredTensor], _ file: MappedFile, _ dataStart: Int
    ) throws {
        var end = dataStart
        let ordered = tensors.sorted {
            ($0.byteRange.lowerBound, $0.byteRange.upperBound)
                < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
        }
        for tensor in ordered {
            let start = tensor.byteRange.lowerBound
            guard start == end else {
                throw InputError(
                    start < end ? "overlaps another tensor" : "leaves a gap before it",
                    file: file.path, field: tensor.name)
            }
            end = tensor.byteRange.upperBound
        }
        guard end == file.count else {
            throw InputError(
                "has \(file.count - end) bytes that belong to no tensor", file: file.path)
        }
    }
}
