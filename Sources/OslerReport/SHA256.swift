internal import OslerFormats

/// SHA-256 of files, with progress.
package enum SHA256 {
    /// 64 hexadecimal digits.
    ///
    /// - Parameter progress: is told the bytes done, now and then.
    package static func ofFile(
        _ path: String, progress: (_ bytesDone: Int) -> Void = { _ in }
    ) throws -> String {
        let file = try MappedFile(path)
        var digest = Digest(.sha256)
        let piece = 64 << 20
        for start in stride(from: 0, to: file.count, by: piece) {
            let range = start..<min(start + piece, file.count)
            file.withBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[range])) }
            file.release(range)
            progress(range.upperBound)
        }
        return digest.finish()
    }
}
