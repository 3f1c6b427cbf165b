package import OslerCompute

extension Backend {
    package func write<Element>(_ values: [Element], to tensor: Tensor) {
        values.withUnsafeBytes { write($0, to: tensor) }
    }
}
