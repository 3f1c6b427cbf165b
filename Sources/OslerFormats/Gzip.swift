internal import CZlib

/// Files compressed by gzip (RFC 1952), through zlib.
package enum Gzip {
    package static func isCompressed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B
    }

    /// Inflates all members of a gzip file.
    ///
    /// - Parameter limit: the most bytes to give out, against files made to fill the memory.
    /// - Throws: `InputError` for a cut or damaged file and beyond `limit`.
    package static func decompress(
        _ bytes: UnsafeRawBufferPointer, file: String? = nil, limit: Int = 8 << 30
    ) throws -> [UInt8] {
        var output: [UInt8] = []
        var rest = bytes
        repeat {
            let read = try member(rest, file, limit, &output)
            rest = UnsafeRawBufferPointer(rebasing: rest[read...])
        } while isCompressed(rest)
        // `tar` and tape tools pad with zeros; other tails are no gzip data.
        guard rest.allSatisfy({ $0 == 0 }) else {
            throw InputError("has other data after its gzip data", file: file)
        }
        return output
    }

    /// Inflates one member onto `output`; returns how many bytes of `input` it took.
    private static func member(
        _ input: UnsafeRawBufferPointer, _ file: String?, _ limit: Int, _ output: inout [UInt8]
    ) throws -> Int {
        var stream = z_stream()
        let gzipOnly: Int32 = 16 + MAX_WBITS
        let size = Int32(MemoryLayout<z_stream>.size)
        guard inflateInit2_(&stream, gzipOnly, ZLIB_VERSION, size) == Z_OK else {
            throw InputError("cannot be inflated: zlib does not start", file: file)
        }
        defer { inflateEnd(&stream) }
        var read = 0
        while true {
            let piece = min(input.count - read, 1 << 30)
            stream.next_in = UnsafeMutablePointer(
                mutating: input.baseAddress?.advanced(by: read).assumingMemoryBound(to: UInt8.self))
            stream.avail_in = UInt32(piece)
            let status = inflateStep(&stream, &output, min(max(piece * 4, 1 << 16), 1 << 28))
            read += piece - Int(stream.avail_in)
            guard output.count <= limit else {
                throw InputError(
                    "inflates to more than \(limit >> 20) MiB", file: file,
                    remedy: "decompress it yourself if that is right")
            }
            switch status {
            case Z_STREAM_END: return read
            case Z_OK, Z_BUF_ERROR:
                if read == input.count, stream.avail_out > 0 {
                    throw InputError("gzip data ends early", file: file, remedy: "fetch it again")
                }
            default:
                let reason = stream.msg.map { ": " + String(cString: $0) } ?? ""
                throw InputError("damaged gzip data\(reason)", file: file, field: "byte \(read)")
            }
        }
    }

    /// One call of `inflate` with room for `room` more bytes.
    private static func inflateStep(
        _ stream: inout z_stream, _ output: inout [UInt8], _ room: Int
    ) -> Int32 {
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: room))
        let status = output.withUnsafeMutableBufferPointer { buffer in
            stream.next_out = buffer.baseAddress?.advanced(by: start)
            stream.avail_out = UInt32(room)
            return inflate(&stream, Z_NO_FLUSH)
        }
        output.removeLast(Int(stream.avail_out))
        return status
    }
}
