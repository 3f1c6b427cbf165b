import OslerFormats
import OslerTestSupport
import Testing

@Suite struct `Random generators` {
    static func cases(_ file: String, _ key: String) throws -> [(Int, Int, [Int])] {
        try (JSON.parse(file: file).array ?? []).compactMap { row in
            guard let n = row["n"]?.integer, let seed = row["seed"]?.integer,
                let order = row[key]?.array?.compactMap(\.integer)
            else { return nil }
            return (n, seed, order)
        }
    }

    @Test func `torch.randperm gives the same order`() throws {
        let cases = try Self.cases(Fixtures.path("splits/torch_randperm.json"), "randperm")
        #expect(cases.count >= 12)
        for (n, seed, order) in cases {
            var generator = TorchGenerator(seed: UInt64(seed))
            #expect(generator.permutation(n) == order, "n \(n), seed \(seed)")
        }
    }

    @Test func `numpy's permutation gives the same order`() throws {
        let cases = try Self.cases(Fixtures.path("splits/shuffle.json"), "shuffle")
        #expect(cases.count >= 6)
        for (n, seed, order) in cases {
            var generator = NumPyGenerator(seed: UInt64(seed))
            #expect(generator.permutation(n) == order, "n \(n), seed \(seed)")
        }
    }

    @Test(arguments: [
        (UInt64(1) << 40 + 5, [9, 5, 1, 2, 8, 3, 0, 10, 7, 4, 6, 11]),
        (.max, [8, 6, 3, 2, 11, 0, 4, 7, 1, 5, 9, 10]),
    ])
    func `numpy's seeds have up to 64 bits`(_ seed: UInt64, _ order: [Int]) {
        var generator = NumPyGenerator(seed: seed)
        #expect(generator.permutation(12) == order)
    }

    @Test func `the edges of permutations`() {
        var numpy = NumPyGenerator(seed: 1)
        var torch = TorchGenerator(seed: 1)
        #expect(numpy.permutation(0) == [] && torch.permutation(0) == [])
        #expect(numpy.permutation(1) == [0] && torch.permutation(1) == [0])
    }

    @Test func `torch.rand and uniform_ give the same numbers`() {
        var generator = TorchGenerator(seed: 7)
        #expect(
            (0..<3).map { _ in generator.nextFloat() }
                == [0x1.11e15ep-1, 0x1.972620p-3, 0x1.518432p-1])
        generator = TorchGenerator(seed: 42)
        let uniform: [Float] = [
            0x1.4b2a64p-3, 0x1.7d7232p-3, -0x1.b3ebd8p-3, 0x1.c17e54p-3, -0x1.a84584p-3,
            -0x1.941958p-5, -0x1.3af3ccp-2, 0x1.8610f0p-4, 0x1.a50664p-3, -0x1.99b694p-2,
            0x1.9b8aecp-3, -0x1.c10bf0p-5, 0x1.3767bcp-3, -0x1.2ffa88p-4, 0x1.c94828p-5,
            -0x1.6c6f48p-3, 0x1.500a52p-3, -0x1.1cf72cp-4, -0x1.33443cp-2, -0x1.e1e7a0p-6,
        ]
        #expect(uniform.map { _ in generator.nextFloat(low: -0.5, high: 0.25) } == uniform)
    }
}

@Suite(.enabled(if: Fixtures.sharedIsThere, "the reference set is not beside the checkout"))
struct `Reference splits` {
    @Test(arguments: ["splits/train_test_split.json", "splits/train_test_split_19704.json.gz"])
    func `train and test are parts of numpy's permutation`(_ name: String) throws {
        let path = try #require(Fixtures.shared(name))
        let json = try MappedFile(path).withBytes { bytes in
            Gzip.isCompressed(bytes)
                ? try JSON.parse(Gzip.decompress(bytes)) : try JSON.parse(bytes)
        }
        var checked = 0
        for row in json.array ?? [json] {
            guard let n = row["n"]?.integer, let train = row["train"]?.array,
                let test = row["test"]?.array
            else { continue }
            var generator = NumPyGenerator(seed: UInt64(row["seed"]?.integer ?? 816))
            #expect(generator.permutation(n) == (test + train).compactMap(\.integer))
            checked += 1
        }
        #expect(checked > 0)
    }
}
