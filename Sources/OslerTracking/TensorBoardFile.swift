internal import OslerFormats

/// A TensorBoard event file: TFRecord framing (length, masked CRC-32C of the length, data, masked CRC-32C of the data)
/// around `Event` messages.
final class TensorBoardFile {
    private let file: GrowingFile

    /// - Parameter time: seconds since 1970; event files of a folder are read in the order of their names.
    init(_ path: String, time: Double) throws {
        file = try GrowingFile(path)
        try append(time: time, step: 0) { $0.text(3, "brain.Event:2") }
    }

    /// Scalars of one step.
    func scalars(_ values: [(tag: String, value: Double)], step: Int, time: Double) throws {
        try append(time: time, step: step) { event in
            event.message(5) { summary in
                for (tag, value) in values {
                    summary.message(1) {
                        $0.text(1, tag)
                        $0.chosenFloat(2, Float(value))
                    }
                }
            }
        }
    }

    /// Markdown, shown under Text.
    func text(_ tag: String, _ markdown: String, time: Double) throws {
        let stringType = 7
        try append(time: time, step: 0) { event in
            event.message(5) { summary in
                summary.message(1) { value in
                    value.text(1, tag + "/text_summary")
                    value.message(8) { tensor in
                        tensor.integer(1, stringType)
                        tensor.message(2) { shape in shape.message(2) { $0.integer(1, 1) } }
                        tensor.element(8, markdown)
                    }
                    value.message(9) { metadata in
                        metadata.message(1) { $0.text(1, "text") }
                    }
                }
            }
        }
    }

    /// Readers forget what older files of the folder say about this step and later ones.
    func restart(at step: Int, time: Double) throws {
        try append(time: time, step: step) { event in event.message(7) { $0.integer(1, 1) } }
    }

    func flush() { file.flush() }

    private func append(
        time: Double, step: Int, _ body: (inout ProtobufWriter) -> Void
    ) throws {
        var event = ProtobufWriter()
        event.double(1, time)
        event.integer(2, step)
        body(&event)
        var length: [UInt8] = []
        withUnsafeBytes(of: UInt64(event.bytes.count).littleEndian) { length += $0 }
        try file.append(
            length + Self.maskedChecksum(length) + event.bytes + Self.maskedChecksum(event.bytes))
    }

    private static func maskedChecksum(_ bytes: [UInt8]) -> [UInt8] {
        let checksum = CyclicRedundancy.castagnoli(bytes)
        let masked = (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
        return withUnsafeBytes(of: masked.littleEndian, Array.init)
    }
}
