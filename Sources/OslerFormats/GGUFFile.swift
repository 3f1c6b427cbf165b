/// A GGUF file (llama.cpp's format, versions 2 and 3, little-endian), mapped: metadata, then
/// tensors in quantized blocks.
package struct GGUFFile: Sendable {
    package let path: String
    /// Keys such as `general.architecture`; all integer and float widths become JSON's.
    package let metadata: JSON.Object
    /// In the order of the file.
    package let tensors: [GGUFTensor]
    private let places: [String: Int]

    package static func isGGUF(_ path: String) -> Bool {
        (try? MappedFile(path).withBytes { $0.prefix(4).elementsEqual("GGUF".utf8) }) ?? false
    }

    /// - Throws: `InputError` for a cut or damaged file: every size in it is checked against the
    ///   file before it is used.
    package init(_ path: String) throws {
        self.path = path
        let file = try MappedFile(path)
        let header = try file.withBytes { bytes in
            var reader = GGUFReader(bytes, path)
            return try reader.header()
        }
        metadata = header.metadata
        let tensors = try header.tensors.map { try $0.placed(in: file, header.dataStart) }
        var places: [String: Int] = [:]
        for (place, tensor) in tensors.enumerated() {
            if places.updateValue(place, forKey: tensor.name) != nil {
                throw InputError("stands twice in the file", file: path, field: tensor.name)
            }
        }
        try Self.checkOverlap(tensors)
        (self.tensors, self.places) = (tensors, places)
    }

    package var names: [String] { tensors.map(\.name) }

    package subscript(name: String) -> GGUFTensor? { places[name].map { tensors[$0] } }

    /// - Throws: `InputError` when the file has no such tensor.
    package func tensor(_ name: String) throws -> GGUFTensor {
        guard let tensor = self[name] else {
            throw InputError("has no tensor of this name", file: path, field: name)
        }
        return tensor
    }

    private static func checkOverlap(_ tensors: [GGUFTensor]) throws {
        let ordered = tensors.filter { !$0.byteRange.isEmpty }
            .sorted { $0.byteRange.lowerBound < $1.byteRange.lowerBound }
        for (tensor, next) in zip(ordered, ordered.dropFirst())
        where tensor.byteRange.upperBound > next.byteRange.lowerBound {
            throw InputError(
                "overlaps another tensor", file: next.file.path, field: next.name)
        }
    }
}

/// What the header says of one tensor, before it is held against the file.
struct GGUFTensorEntry {
    let name: String
    let type: GGUFType
    let shape: [Int]
    let offset: UInt64

    func placed(in file: MappedFile, _ dataStart: Int) throws -> GGUFTensor {
        guard let count = elementCount(shape), (shape.last ?? 1) % type.blockCount == 0,
            case let (length, overflow) = (count / type.blockCount)
                .multipliedReportingOverflow(by: type.blockBytes), !overflow
        else {
            throw InputError(
                "\(shape) is no shape of whole \(type.name) blocks", file: file.path, field: name)
        }
        let available = max(0, file.count - dataStart)
        guard length <= available, offset <= UInt64(available - length) else {
            throw InputError(
                "\(length) bytes at \(offset) exceed the data, which has \(available)",
                file: file.path, field: name, remedy: "the file is cut: fetch it again")
        }
        let start = dataStart + Int(offset)
        return GGUFTensor(
            name: name, type: type, shape: shape, file: file, byteRange: start..<(start + length))
    }
}
