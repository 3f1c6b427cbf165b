import OslerCompute
import OslerFormats
import OslerTestSupport
import Testing

/// NF4 and blockwise 8-bit quantization byte for byte against bitsandbytes.
@Suite struct NF4Tests {
    struct Case: CustomTestStringConvertible {
        let path: String
        let name: String
        let form: String
        var testDescription: String { "\(name).\(form)" }
    }

    /// The project's own part of the reference set, and all of it where it is.
    static let files =
        [Fixtures.path("nf4/quantize.safetensors")]
        + [Fixtures.shared("nf4/quantize.safetensors")].compactMap { $0 }

    static func names(_ suffix: String) -> [Case] {
        files.flatMap { path in
            ((try? Golden(path))?.names ?? []).filter { $0.hasSuffix(suffix) }.map {
                let parts = $0.split(separator: ".").map(String.init)
                return Case(path: path, name: parts[0], form: parts.count == 3 ? parts[1] : "")
            }
        }
    }

    static let backend = ReferenceBackend(precision: .float32)

    private func input(_ golden: Golden, _ item: Case) throws -> Tensor {
        let name = item.name + ".input"
        let isBF16 = try golden.tensor(name).type == .bfloat16
        return try Self.backend.tensor(
            try golden.floats(name), isBF16 ? .bfloat16 : .float32, try golden.shape(name))
    }

    @Test func `there are cases`() {
        #expect(Self.names(".packed").count >= 11)
        #expect(Self.names(".q").count >= 3)
    }

    @Test(arguments: names(".packed")) func `codes and scales are bitsandbytes'`(_ item: Case)
        throws
    {
        let golden = try Golden(item.path)
        let isDouble = item.form == "double"
        let matrix = try NF4.quantize(
            try input(golden, item), doubleQuantized: isDouble,
            blockSize: item.form.hasSuffix("bs128") ? 128 : 64, on: try ThreadPool(threads: 2))
        let prefix = "\(item.name).\(item.form)."
        #expect(try Self.backend.bytes(matrix.codes) == golden.bytes(prefix + "packed"))
        guard let nested = matrix.nested else {
            #expect(!isDouble)
            #expect(try Self.backend.floats(matrix.absmax) == golden.floats(prefix + "absmax"))
            return
        }
        #expect(isDouble)
        #expect(try Self.backend.bytes(matrix.absmax) == golden.bytes(prefix + "absmax"))
        let offset = try golden.floats(prefix + "offset")[0]
        #expect(abs(nested.offset - offset) <= offset.ulp)
        let absmax = GoldenDifference(
            try Self.backend.floats(nested.absmax), try golden.floats(prefix + "nested_absmax"))
        #expect(absmax.absolute <= offset.ulp, "\(absmax)")
    }

    /// Blocks of 64 bfloat16 values may have kernels of their own; float32 values are compared bound by bound.
    @Test func `bfloat16 values get the codes that they get as float32`() throws {
        var random = SplitMix64(state: 3)
        var values: [Float] = []
        for block in 0..<400 {
            let scale = BFloat16.float(UInt16(truncatingIfNeeded: random.next() % 0x7f80))
            let largest = block == 7 ? .infinity : block == 8 ? 0 : scale
            for index in 0..<64 {
                // Around the bounds between codes, and anywhere.
                let code = Int(random.next() % 15)
                let bound = (NF4.table[code] + NF4.table[code + 1]) / 2
                let near = bound * (1 + Float(Int(random.next() % 9) - 4) / 256)
                let far = Float(Int(random.next() % 2001) - 1000) / 1000
                let value = index == 0 ? 1 : index % 2 == 0 ? near : far
                values.append(BFloat16.float(BFloat16.bits(value * largest)))
            }
        }
        values.removeLast(13)
        let pool = try ThreadPool(threads: 2)
        let (short, long) = try (
            NF4.quantize(
                Self.backend.tensor(values, .bfloat16, [1, values.count]), doubleQuantized: false,
                on: pool),
            NF4.quantize(
                Self.backend.tensor(values, .float32, [1, values.count]), doubleQuantized: false,
                on: pool)
        )
        #expect(try Self.backend.bytes(short.codes) == Self.backend.bytes(long.codes))
        #expect(try Self.backend.bytes(short.absmax) == Self.backend.bytes(long.absmax))
        #expect(Set(try Self.backend.bytes(short.codes).map { $0 & 15 }).count == 16)
    }

    @Test(arguments: names(".dequant_bf16")) func `dequantizes to the same bits`(_ item: Case)
        throws
    {
        let golden = try Golden(item.path)
        let matrix = try stored(golden, item)
        let prefix = "\(item.name).\(item.form)."
        let shape = [matrix.rows, matrix.columns]
        let wide = try Self.backend.tensor(.float32, shape)
        NF4.dequantize(matrix, into: wide, on: try ThreadPool(threads: 2))
        #expect(try Self.backend.floats(wide) == golden.floats(prefix + "dequant_fp32"))
        #expect(matrix.values() == (try golden.floats(prefix + "dequant_fp32")))
        let narrow = try Self.backend.tensor(.bfloat16, shape)
        NF4.dequantize(matrix, into: narrow, on: try ThreadPool(threads: 2))
        #expect(try Self.backend.floats(narrow) == golden.floats(prefix + "dequant_bf16"))
    }

    /// The matrix as the library left it.
    private func stored(_ golden: Golden, _ item: Case) throws -> NF4Matrix {
        let prefix = "\(item.name).\(item.form)."
        let shape = try golden.shape(item.name + ".input")
        let codes = try golden.bytes(prefix + "packed")
        var (absmax, nested): (Tensor, NF4Matrix.Nested?)
        if item.form == "double" {
            let bytes = try golden.bytes(prefix + "absmax")
            absmax = try Self.backend.tensor(bytes, [bytes.count])
            let scales = try golden.floats(prefix + "nested_absmax")
            nested = NF4Matrix.Nested(
                absmax: try Self.backend.tensor(scales, [scales.count]),
                table: try Self.backend.tensor(try golden.floats("dynamic_map_signed"), [256]),
                offset: try golden.floats(prefix + "offset")[0])
        } else {
            let scales = try golden.floats(prefix + "absmax")
            (absmax, nested) = (try Self.backend.tensor(scales, [scales.count]), nil)
        }
        return NF4Matrix(
            rows: shape[0], columns: shape[1], blockSize: item.form.hasSuffix("bs128") ? 128 : 64,
            codes: try Self.backend.tensor(codes, [codes.count]), absmax: absmax, nested: nested)
    }

    @Test(arguments: names(".q")) func `blockwise 8-bit codes are the nearest`(_ item: Case) throws
    {
        let golden = try Golden(item.path)
        var values = try golden.floats(item.name + ".input")
        let absmax = try Self.backend.tensor(.float32, [(values.count + 255) / 256])
        let codes = try values.withUnsafeMutableBufferPointer {
            try NF4.quantize8bit($0, signed: true, absmax: absmax)
        }
        #expect(try Self.backend.bytes(codes) == golden.bytes(item.name + ".q"))
        #expect(try Self.backend.floats(absmax) == golden.floats(item.name + ".absmax"))
    }

    @Test func `tables are bitsandbytes'`() throws {
        let nf4 = try Golden(Fixtures.path("nf4/quantize.safetensors"))
        let optim = try Golden(Fixtures.path("optim/steps.safetensors"))
        #expect(NF4.table == (try nf4.floats("nf4_code")))
        #expect(DynamicMap.signed == (try nf4.floats("dynamic_map_signed")))
        #expect(DynamicMap.signed == (try optim.floats("bnb.qmap_signed")))
        #expect(DynamicMap.unsigned == (try optim.floats("bnb.qmap_unsigned")))
    }

    /// The kernel starts from a table and takes three steps; a plain search needs no such luck.
    @Test(arguments: [true, false]) func `the fast search finds the nearest code`(signed: Bool)
        throws
    {
        let map = signed ? DynamicMap.signed : DynamicMap.unsigned
        var values = map + zip(map, map.dropFirst()).map { ($0 + $1) * 0.5 }
        values += values.flatMap { [$0.nextUp, $0.nextDown] }
        values += stride(from: Float(-1), through: 1, by: 1.0 / 50_000)
        values += stride(from: Float(-130), through: 0, by: 0.01).map { 2 * Float($0.bitPattern) }
        values = values.filter { abs($0) <= 1 && (signed || $0 >= 0) }
        // Every block holds 1, so nothing is scaled.
        var blocks: [Float] = []
        for (i, value) in values.enumerated() { blocks += i % 255 == 0 ? [1, value] : [value] }
        let absmax = try Self.backend.tensor(.float32, [(blocks.count + 255) / 256])
        let codes = try blocks.withUnsafeMutableBufferPointer {
            try Self.backend.bytes(NF4.quantize8bit($0, signed: signed, absmax: absmax))
        }
        #expect(codes == blocks.map { DynamicMap.nearest($0, in: map) })
    }
}
