package import OslerFormats

/// Values that the real libraries gave, kept in a safetensors file.
package struct Golden: Sendable {
    private let file: SafetensorsFile

    /// The file at `path` (see `Fixtures`).
    package init(_ path: String) throws { file = try SafetensorsFile(path) }

    package var names: [String] { file.names }
    package func contains(_ name: String) -> Bool { file[name] != nil }
    package func shape(_ name: String) throws -> [Int] { try file.tensor(name).shape }
    package func tensor(_ name: String) throws -> StoredTensor { try file.tensor(name) }

    /// A floating-point tensor, row-major, whatever its width in the file.
    package func floats(_ name: String) throws -> [Float] { try file.tensor(name).floats() }
    package func integers(_ name: String) throws -> [Int] { try file.tensor(name).integers() }
    package func bytes(_ name: String) throws -> [UInt8] {
        try file.tensor(name).withBytes { Array($0) }
    }
}
