internal import OslerCompute
internal import OslerFormats
internal import OslerModels

extension SFTConfiguration {
    /// `device_map`: `auto`, or `{"": 0}`, which is the default.
    mutating func readDeviceMap(_ reader: inout ConfigurationReader) throws {
        switch try reader.value("device_map") {
        case nil: break
        case .string("auto"): deviceMap = .auto
        case .object(let map) where map.pairs.count == 1 && map[""] == .integer(0): break
        case let value?:
            throw reader.error(
                "device_map", "\(value.serialized(ensureASCII: false)) is not available",
                remedy: "use auto, or leave it out; device: cuda:1 chooses a card")
        }
    }

    /// `gradient_checkpointing` (true, false, or auto, which is the default) and `max_memory`.
    mutating func readMemory(_ reader: inout ConfigurationReader) throws {
        let key = "gradient_checkpointing"
        switch try reader.value(key, "activation_checkpointing") {
        case nil, .string("auto"): checkpointing = nil
        case .bool(let recomputes): checkpointing = recomputes ? .block : Checkpointing.none
        case let value?:
            throw reader.error(
                key, "\(value.serialized(ensureASCII: false)) is not one of true, false, auto")
        }
        guard let value = try reader.value("max_memory") else { return }
        guard let bytes = value.integer ?? value.string.flatMap(byteCount), bytes > 0 else {
            throw reader.error(
                "max_memory", "\(value.serialized(ensureASCII: false)) is not an amount of memory",
                remedy: "write it like 700MB, 8GB or 6GiB")
        }
        maximumMemory = bytes
    }
}

/// `700MB`, `1.5 GB`, `6GiB`: decimal units and binary ones, as accelerate reads them.
package func byteCount(_ text: String) -> Int? {
    let units: [(String, Double)] = [
        ("KIB", 0x1p10), ("MIB", 0x1p20), ("GIB", 0x1p30), ("TIB", 0x1p40), ("KB", 1e3),
        ("MB", 1e6), ("GB", 1e9), ("TB", 1e12),
    ]
    let upper = text.uppercased()
    guard let (unit, size) = units.first(where: { upper.hasSuffix($0.0) }) else { return nil }
    var digits = upper.dropLast(unit.count)
    while digits.last == " " { digits.removeLast() }
    guard let number = Double(digits), number.isFinite, number > 0, number * size < 0x1p62 else {
        return nil
    }
    return Int(number * size)
}
