import OslerFormats
import OslerTestSupport
import Testing

@Suite struct `Safetensors` {
    let folder = TemporaryFolder()

    /// Written by the reference library, one tensor of each type.
    static let allTypes = Fixtures.path("safetensors/all-types.safetensors")

    @Test func `every type is read`() throws {
        let file = try SafetensorsFile(Self.allTypes)
        #expect(file.metadata == ["format": "pt"])
        #expect(file.names.count == 20 && Set(file.tensors.map(\.type)).count == 17)
        for name in ["float32", "float16", "bfloat16", "float64"] {
            #expect(try file.tensor("t." + name).floats() == [0, 1, 2])
        }
        for name in ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"] {
            #expect(try file.tensor("t." + name).integers() == [0, 1, 2])
        }
        #expect(try file.tensor("t.bool").integers() == [0, 1, 1])
        #expect(try file.tensor("Z").floats() == [1.5] && file.tensor("Z").shape == [])
        #expect(try file.tensor("é").floats() == [] && file.tensor("é").shape == [0, 2])
    }

    @Test func `a rewritten file has the reference library's bytes`() throws {
        let file = try SafetensorsFile(Self.allTypes)
        let tensors = file.tensors.reversed().map { tensor in
            (
                SafetensorsWriter.Entry(tensor.name, tensor.type, tensor.shape),
                tensor.withBytes { Array($0) }
            )
        }
        try SafetensorsWriter.write(tensors, to: folder.file("out"))
        #expect(try FileSystem.read(folder.file("out")) == FileSystem.read(Self.allTypes))
    }

    @Test func `a file that is not finished leaves nothing`() throws {
        do {
            var writer = try SafetensorsWriter(
                folder.file("out"), entries: [.init("a", .float32, [2])])
            try [UInt8](repeating: 0, count: 4).withUnsafeBytes { try writer.write("a", $0) }
        }
        #expect(try FileSystem.list(folder.path) == [])
    }

    @Test func `rows are copied in float32 and bfloat16`() throws {
        let values = (0..<6).map { Float($0) + 1.0 / 3 }
        try SafetensorsWriter.write(
            [(.init("w", .float32, [3, 2]), values.withUnsafeBytes { Array($0) })],
            to: folder.file("w"))
        let tensor = try SafetensorsFile(folder.file("w")).tensor("w")
        var floats = [Float](repeating: 0, count: 4)
        try floats.withUnsafeMutableBufferPointer { try tensor.copy(rows: 1..<3, to: $0) }
        #expect(floats == Array(values[2...]))
        var halves = [UInt16](repeating: 0, count: 2)
        try halves.withUnsafeMutableBufferPointer { try tensor.copyBFloat16(rows: 2..<3, to: $0) }
        #expect(halves == values[4...].map { FloatConversion.bfloat16($0) })
    }

    // MARK: Bad input

    /// A file with this header and this many bytes of data.
    static func file(_ header: String, _ data: Int, claimed: UInt64? = nil) -> [UInt8] {
        let size = claimed ?? UInt64(header.utf8.count)
        return withUnsafeBytes(of: size.littleEndian) { Array($0) } + Array(header.utf8)
            + [UInt8](repeating: 0, count: data)
    }

    static func entry(_ type: String, _ shape: String, _ start: Int, _ end: Int) -> String {
        "{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(start),\(end)]}"
    }

    static let bad: [([UInt8], String)] = [
        ([], "is 0 bytes long, too short"),
        ([1, 2, 3], "is 3 bytes long, too short"),
        (file("{}", 0, claimed: 3), "the header claims 3 bytes, the file has 2"),
        (file("{}", 0, claimed: .max), "the header claims 18446744073709551615 bytes"),
        (file("[]", 0), "the header is not a JSON object"),
        (file("{\"a\":", 0), "line 1, column 6: malformed JSON: expected a value"),
        (file("{}", 4), "has 4 bytes that belong to no tensor"),
        (file("{\"a\":{}}", 0), "a: has no dtype"),
        (file("{\"a\":1}", 0), "a: has no dtype"),
        (file("{\"a\":\(entry("F5", "[1]", 0, 4))}", 4), "a: unknown dtype F5; known are BOOL"),
        (file("{\"a\":\(entry("F32", "[-1]", 0, 4))}", 4), "a: the shape is not a list of sizes"),
        (file("{\"a\":\(entry("F32", "[1.5]", 0, 4))}", 4), "a: the shape is not a list of sizes"),
        (file("{\"a\":\(entry("F32", "2", 0, 4))}", 4), "a: the shape is not a list of sizes"),
        (
            file("{\"a\":\(entry("F32", "[4611686018427387904,4]", 0, 0))}", 0),
            "a: the shape is not a list of sizes"
        ),
        (
            file("{\"a\":\(entry("F32", "[0,4611686018427387904,4]", 0, 0))}", 0),
            "a: the shape is not a list of sizes"
        ),
        (
            file("{\"a\":\(entry("F64", "[1152921504606846976]", 0, 0))}", 0),
            "a: the shape is not a list of sizes"
        ),
        (file("{\"a\":\(entry("F32", "[2]", 0, 4))}", 4), "a: F32 [2] needs 8 bytes"),
        (file("{\"a\":\(entry("F32", "[2]", 0, 8))}", 7), "a: ends at byte 8 of the data, which"),
        (file("{\"a\":\(entry("F32", "[1]", 4, 0))}", 4), "a: data_offsets are not a start"),
        (file("{\"a\":\(entry("F32", "[1]", -4, 0))}", 4), "a: data_offsets are not a start"),
        (file("{\"a\":\(entry("F32", "[1]", 4, 8))}", 8), "a: leaves a gap before it"),
        (
            file(
                "{\"a\":\(entry("F32", "[2]", 0, 8)),\"b\":\(entry("F32", "[1]", 4, 8))}", 8),
            "b: overlaps another tensor"
        ),
        (file("{\"__metadata__\":{\"a\":1}}", 0), "__metadata__: a is not a string"),
        (file("{\"__metadata__\":3}", 0), "__metadata__: is not an object of strings"),
    ]

    @Test(arguments: bad) func `a bad file is refused`(_ bytes: [UInt8], _ message: String) throws {
        let path = try folder.write(bytes, "bad")
        let error = inputError { _ = try SafetensorsFile(path) } ?? "none"
        #expect(error.hasPrefix(path) && error.contains(message), "\(error)")
    }

    @Test func `a file cut anywhere is refused`() throws {
        let bytes = try FileSystem.read(Self.allTypes)
        for count in stride(from: 0, to: bytes.count, by: 3) {
            let path = try folder.write(Array(bytes[..<count]), "cut")
            #expect(throws: InputError.self, "\(count) bytes") {
                try SafetensorsFile(path)
            }
        }
    }

    @Test func `damaged headers never crash`() throws {
        let bytes = try FileSystem.read(Self.allTypes)
        var random = SplitMix(state: 3)
        for _ in 0..<500 {
            var damaged = bytes
            for _ in 0..<3 {
                damaged[Int.random(in: 0..<1300, using: &random)] ^=
                    1 << UInt8.random(in: 0..<8, using: &random)
            }
            let path = try folder.write(damaged, "damaged")
            do {
                for tensor in try SafetensorsFile(path).tensors { _ = try? tensor.floats() }
            } catch {
                #expect(error is InputError)
            }
        }
    }

    @Test func `a wrong kind of elements is named`() throws {
        let file = try SafetensorsFile(Self.allTypes)
        let path = Self.allTypes
        #expect(
            inputError { _ = try file.tensor("t.int64").floats() }
                == "\(path): t.int64: holds I64, expected one of F32, F16, BF16, F64")
        #expect(
            inputError { _ = try file.tensor("a").integers() }
                == "\(path): a: holds F32, expected integers")
        #expect(
            inputError { _ = try file.tensor("b") } == "\(path): b: has no tensor of this name")
    }
}

@Suite struct `Weight folders` {
    let folder = TemporaryFolder()

    func shard(_ name: String, _ tensors: [String]) throws {
        try SafetensorsWriter.write(
            tensors.map { (.init($0, .uint8, [1]), [7]) }, to: folder.file(name))
    }

    func index(_ text: String) throws {
        try AtomicFile.write(text, to: folder.file(WeightStore.indexName))
    }

    @Test func `one file or shards give the same tensors`() throws {
        try shard("model-1-of-2.safetensors", ["a", "b"])
        try shard("model-2-of-2.safetensors", ["c"])
        try index(
            """
            {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-1-of-2.safetensors",
             "c": "model-2-of-2.safetensors"}}
            """)
        #expect(try WeightStore(folder.path).names == ["a", "b", "c"])
        #expect(try WeightStore(folder.path).tensor("c").integers() == [7])
        try shard("model.safetensors", ["x"])
        #expect(try WeightStore(folder.path).names == ["x"])
        #expect(try WeightStore(folder.file("model.safetensors")).names == ["x"])
    }

    static let bad: [(String, String)] = [
        ("{}", "weight_map: lists no tensors"),
        (#"{"weight_map": {"a": 1}}"#, "a: is not the name of a file"),
        (#"{"weight_map": {"a": "../s"}}"#, "a: is not the name of a file"),
        (#"{"weight_map": {"a": "missing"}}"#, "missing: is missing, model.safetensors.index.json"),
        (#"{"weight_map": {"z": "s"}}"#, "z: s has no tensor of this name"),
        (#"{"weight_map": {"a": "cut"}}"#, "cut: is 3 bytes long, too short"),
        ("{\n!", "line 2, column 1: malformed JSON"),
    ]

    @Test(arguments: bad) func `a bad index is refused`(_ text: String, _ message: String) throws {
        try shard("s", ["a"])
        try AtomicFile.write("cut", to: folder.file("cut"))
        try index(text)
        let error = inputError { _ = try WeightStore(folder.path) } ?? "none"
        #expect(error.hasPrefix(folder.path) && error.contains(message), "\(error)")
    }

    @Test func `a folder without weights is refused`() {
        let error = inputError { _ = try WeightStore(folder.path) }
        #expect(error?.contains("has neither model.safetensors nor") == true)
    }
}

@Suite struct `Float conversions` {
    /// What torch makes of `x`.
    static let golden = Fixtures.path("safetensors/conversions.safetensors")

    @Test(arguments: ["f16", "bf16"]) func `rounding is torch's`(_ name: String) throws {
        let golden = try Golden(Self.golden)
        let bits = try golden.bytes(name).withUnsafeBytes {
            Array($0.assumingMemoryBound(to: UInt16.self))
        }
        let source = try golden.floats("x")
        var output = [UInt16](repeating: 0, count: source.count)
        source.withUnsafeBufferPointer { source in
            output.withUnsafeMutableBufferPointer {
                name == "f16"
                    ? FloatConversion.floatToFloat16(source, $0)
                    : FloatConversion.floatToBFloat16(source, $0)
            }
        }
        #expect(source.count > 5000 && output == bits)
    }

    @Test func `every half keeps its value`() {
        let changed = (UInt16.min ... .max).filter { bits in
            let back = FloatConversion.float16(FloatConversion.float(float16: bits))
            let isNaN = bits & 0x7FFF > 0x7C00
            return isNaN ? back & 0x7FFF != 0x7E00 : back != bits
        }
        #expect(changed == [])
        let changedBFloat = (UInt16.min ... .max).filter { bits in
            let wide = FloatConversion.float(bfloat16: bits)
            return !wide.isNaN && FloatConversion.bfloat16(wide) != bits
        }
        #expect(changedBFloat == [])
        #expect(FloatConversion.float(float16: 0x3C01) == 1 + 0x1p-10)
        #expect(FloatConversion.float(float16: 1) == 0x1p-24)
        #expect(FloatConversion.bfloat16(.nan) == 0x7FC0)
    }
}
