import OslerFormats
import OslerTestSupport
import Testing

/// Lays out a small GGUF file.
struct GGUFBytes {
    var bytes: [UInt8] = Array("GGUF".utf8)

    init(version: UInt32 = 3, tensors: UInt64 = 0, pairs: UInt64 = 0) {
        add(version)
        add(tensors)
        add(pairs)
    }

    mutating func add(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }

    mutating func add(_ text: String) {
        add(UInt64(text.utf8.count))
        bytes += text.utf8
    }

    mutating func tensor(
        _ extents: [UInt64], _ type: UInt32 = 0, _ offset: UInt64 = 0, named name: String = "t"
    ) {
        add(name)
        add(UInt32(extents.count))
        for extent in extents { add(extent) }
        add(type)
        add(offset)
    }

    mutating func data(_ data: [UInt8]) {
        bytes += [UInt8](repeating: 0, count: -bytes.count & 31) + data
    }
}

@Suite struct `GGUF` {
    let folder = TemporaryFolder()
    static let allTypes = Fixtures.path("gguf/all-types.gguf")
    static let readable = [
        "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q4_k", "q5_k", "q6_k",
        "vec_f32", "3d_q8_0",
    ]

    @Test(arguments: readable) func `dequantization is gguf-py's to the bit`(_ name: String) throws
    {
        let golden = try Golden(Fixtures.path("gguf/all-types-expected.safetensors"))
        let tensor = try GGUFFile(Self.allTypes).tensor("t." + name)
        let expected = try golden.floats("t.\(name).dequant")
        #expect(try tensor.shape == golden.shape("t.\(name).dequant"))
        let floats = try tensor.floats()
        #expect(
            zip(floats, expected).allSatisfy { $0.bitPattern == $1.bitPattern },
            "\(GoldenDifference(floats, expected))")
        // Rows alone, in bfloat16.
        let rows = 1..<min(3, tensor.rowCount)
        var halves = [UInt16](repeating: 0, count: rows.count * tensor.columns)
        try halves.withUnsafeMutableBufferPointer { try tensor.copyBFloat16(rows: rows, to: $0) }
        #expect(
            halves.elementsEqual(
                expected[tensor.columns...].prefix(halves.count).map(FloatConversion.bfloat16)))
    }

    @Test(arguments: ["q2_k", "q3_k"]) func `other types are named`(_ name: String) throws {
        let file = try GGUFFile(Self.allTypes)
        let error = inputError { _ = try file.tensor("t." + name).floats() } ?? "none"
        #expect(error.contains("t.\(name): is quantized as Q"), "\(error)")
        #expect(error.contains("it reads F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K"))
    }

    @Test func `metadata of every kind is read`() throws {
        let file = try GGUFFile(Self.allTypes)
        let expected: [(String, JSON)] = [
            ("general.architecture", "llama"), ("llama.block_count", 1), ("test.f32", 1.5),
            ("test.bool", true), ("test.ints", [1, 2, 3]), ("test.strings", ["α", "", "a b"]),
            ("test.u64", 1_099_511_627_776), ("test.i8", -5),
        ]
        for (key, value) in expected { #expect(file.metadata[key] == value, "\(key)") }
        #expect(file.names.count == 15)
        #expect(GGUFFile.isGGUF(Self.allTypes) && !GGUFFile.isGGUF(folder.path))
    }

    @Test func `rows of rotary projections return to transformers' order`() throws {
        // Two heads of width six: llama.cpp has first-half and second-half rows in turn.
        var file = GGUFBytes(tensors: 1)
        file.tensor([2, 12])
        let rows: [Float] = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
        file.data(rows.flatMap { [$0, -$0] }.withUnsafeBytes { Array($0) })
        let path = try folder.write(file.bytes, "permuted")
        let tensor = try GGUFFile(path).tensor("t")
        let restored = try UnpermutedTensor(tensor, headCount: 2)
        #expect(try restored.floats() == (0..<12).flatMap { [Float($0), -Float($0)] })
        #expect(
            inputError { _ = try UnpermutedTensor(tensor, headCount: 4) }
                == "t: [12, 2] has no 4 heads of an even width")
    }

    // MARK: Bad input

    static func bad(_ build: (inout GGUFBytes) -> Void, tensors: UInt64 = 1, pairs: UInt64 = 0)
        -> [UInt8]
    {
        var file = GGUFBytes(tensors: tensors, pairs: pairs)
        build(&file)
        return file.bytes
    }

    static let badFiles: [([UInt8], String)] = [
        ([], "does not begin with GGUF"),
        (Array("GGML....".utf8), "does not begin with GGUF"),
        (GGUFBytes(version: 1).bytes, "GGUF version 1; Osler reads"),
        (GGUFBytes(version: 3 << 24).bytes, "a big-endian GGUF file"),
        (GGUFBytes(tensors: .max).bytes, "tensor 1 of 18446744073709551615: the header ends early"),
        (GGUFBytes(pairs: .max).bytes, "metadata entry 1 of 18446744073709551615: the header ends"),
        (bad({ $0.add(UInt64.max) }), "the header ends early"),
        (
            bad(
                {
                    $0.add("k")
                    $0.add(UInt32(99))
                }, pairs: 1), "k: unknown metadata type 99"
        ),
        (
            bad(
                {
                    $0.add("k")
                    $0.add(UInt32(9))
                    $0.add(UInt32(4))
                    $0.add(UInt64.max)
                }, pairs: 1), "k: an array of 18446744073709551615 elements exceeds the file"
        ),
        (
            bad(
                {
                    $0.add("k")
                    $0.add(UInt32(9))
                    for _ in 0..<9 {
                        $0.add(UInt32(9))
                        $0.add(UInt64(1))
                    }
                }, pairs: 1), "k: arrays nested deeper than 4 levels"
        ),
        (
            bad(
                {
                    $0.add("general.alignment")
                    $0.add(UInt32(4))
                    $0.add(UInt32(0))
                }, tensors: 0, pairs: 1), "general.alignment: is not a sensible alignment"
        ),
        (bad({ $0.tensor([1, 1, 1, 1, 1]) }), "t: 5 dimensions, at most 4"),
        (bad({ $0.tensor([1], 4) }), "t: unknown tensor type 4"),
        (bad({ $0.tensor([33, 32], 8) }), "t: [32, 33] is no shape of whole Q8_0 blocks"),
        (bad({ $0.tensor([1 << 62, 4]) }), "is no shape of whole F32 blocks"),
        (bad({ $0.tensor([1 << 62, 1 << 62, 0]) }), "is no shape of whole F32 blocks"),
        (bad({ $0.tensor([1 << 62]) }), "is no shape of whole F32 blocks"),
        (bad({ $0.tensor([1 << 63]) }), "is no shape of whole F32 blocks"),
        (bad({ $0.tensor([8]) }), "t: 32 bytes at 0 exceed the data, which has 0"),
        (
            bad {
                $0.tensor([8], 0, .max)
                $0.data([UInt8](repeating: 0, count: 32))
            }, "t: 32 bytes at 18446744073709551615 exceed the data, which has 32"
        ),
        (
            bad(
                {
                    $0.tensor([8])
                    $0.tensor([8], 0, 16, named: "u")
                    $0.data([UInt8](repeating: 0, count: 64))
                }, tensors: 2), "u: overlaps another tensor"
        ),
        (
            bad(
                {
                    $0.tensor([8])
                    $0.tensor([8], 0, 32)
                    $0.data([UInt8](repeating: 0, count: 64))
                }, tensors: 2), "t: stands twice in the file"
        ),
    ]

    @Test(arguments: badFiles)
    func `a bad file is refused`(_ bytes: [UInt8], _ message: String) throws {
        let path = try folder.write(bytes, "bad")
        let error = inputError { _ = try GGUFFile(path) } ?? "none"
        #expect(error.hasPrefix(path) && error.contains(message), "\(error)")
    }

    /// Each element would take many times the memory of its byte.
    @Test func `arrays without end are refused`() throws {
        let count = 1 << 24 + 1
        var file = GGUFBytes(pairs: 1)
        file.add("k")
        file.add(UInt32(9))
        file.add(UInt32(0))
        file.add(UInt64(count))
        file.bytes += [UInt8](repeating: 0, count: count)
        let path = try folder.write(file.bytes, "long")
        let error = inputError { _ = try GGUFFile(path) } ?? "none"
        #expect(error.contains("k: more than 16777216 elements in arrays"), "\(error)")
    }

    @Test(arguments: [2, 3, 6, 7, 8] as [UInt32]) func `a vector in blocks is refused`(
        _ type: UInt32
    ) throws {
        var file = GGUFBytes(tensors: 1)
        file.tensor([64], type)
        file.data([UInt8](repeating: 1, count: 256))
        let tensor = try GGUFFile(folder.write(file.bytes, "vector")).tensor("t")
        let error = inputError { _ = try tensor.floats() } ?? "none"
        #expect(error.contains("t: is a vector quantized as Q"), "\(error)")
    }

    @Test func `a file cut anywhere is refused`() throws {
        let bytes = try FileSystem.read(Self.allTypes)
        let counts =
            Array(stride(from: 0, to: 1200, by: 3))
            + Array(stride(from: 1200, to: bytes.count - 32, by: 997))
        for count in counts {
            let path = try folder.write(Array(bytes[..<count]), "cut")
            #expect(throws: InputError.self, "\(count) bytes") { try GGUFFile(path) }
        }
    }

    @Test func `damaged headers never crash`() throws {
        let bytes = try FileSystem.read(Self.allTypes)
        var random = SplitMix(state: 4)
        for _ in 0..<500 {
            var damaged = bytes
            for _ in 0..<2 {
                damaged[Int.random(in: 4..<1120, using: &random)] =
                    UInt8.random(in: .min ... .max, using: &random)
            }
            let path = try folder.write(damaged, "damaged")
            do {
                for tensor in try GGUFFile(path).tensors { _ = try? tensor.floats() }
            } catch {
                #expect(error is InputError)
            }
        }
    }
}

/// Rows of SmolLM2's own GGUF file, from the full reference set.
@Suite(.enabled(if: Fixtures.sharedIsThere, "the reference set is not beside the checkout"))
struct `Reference GGUF` {
    let folder = TemporaryFolder()

    @Test(arguments: [
        ("blk.0.attn_q.weight", UInt32(3), 1), ("blk.3.attn_k.weight", 3, 1),
        ("blk.1.attn_norm.weight", 0, 0), ("token_embd.weight", 8, 0),
    ])
    func `real rows`(_ name: String, _ type: UInt32, _ heads: Int) throws {
        let golden = try Golden(try #require(Fixtures.shared("gguf/expected.safetensors")))
        let shape = try golden.shape("smol.\(name).dequant")
        var file = GGUFBytes(tensors: 1)
        file.tensor([UInt64(shape[1]), UInt64(shape[0])], type)
        file.data(try golden.bytes("smol.\(name).raw"))
        let tensor = try GGUFFile(folder.write(file.bytes, "smol")).tensor("t")
        #expect(try tensor.floats() == golden.floats("smol.\(name).dequant"))
        if heads > 0 {
            let restored = try UnpermutedTensor(tensor, headCount: heads)
            #expect(try restored.floats() == golden.floats("smol.\(name).hf_layout_rows"))
        }
    }
}
