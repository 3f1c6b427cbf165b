import OslerCompute
import Testing

/// The known answers of Random123's `kat_vectors` for `philox4x32 10`.
@Suite struct PhiloxTests {
    struct Answer: CustomTestStringConvertible {
        let name: String
        let counter: SIMD4<UInt32>
        let key: SIMD2<UInt32>
        let words: SIMD4<UInt32>
        var testDescription: String { name }
    }

    static let answers = [
        Answer(
            name: "zeros", counter: SIMD4(repeating: 0), key: SIMD2(repeating: 0),
            words: SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8)),
        Answer(
            name: "ones", counter: SIMD4(repeating: .max), key: SIMD2(repeating: .max),
            words: SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd)),
        Answer(
            name: "digits of pi",
            counter: SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344),
            key: SIMD2(0xa409_3822, 0x299f_31d0),
            words: SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1)),
    ]

    @Test(arguments: answers) func `known answers`(_ answer: Answer) {
        #expect(Philox.block(counter: answer.counter, key: answer.key) == answer.words)
    }

    @Test func `elements take half-words in order`() {
        let key = DropoutKey(seed: 0x299f_31d0_a409_3822, stream: 0x0370_7344_1319_8a2e)
        let position: UInt64 = 0x85a3_08d3
        let words = Philox.block(
            counter: SIMD4(UInt32(position), 0, 0x1319_8a2e, 0x0370_7344),
            key: SIMD2(0xa409_3822, 0x299f_31d0))
        let bits = (0..<8).map { key.bits(Int(position) * 8 + $0) }
        #expect(bits == (0..<8).map { UInt16(truncatingIfNeeded: words[$0 / 2] >> ($0 % 2 * 16)) })
    }

    /// Four standard deviations of a binomial count.
    @Test(arguments: [Float(0.05), 0.5, 0.9]) func `drops its share`(probability: Float) {
        let (n, key) = (100_000, DropoutKey(seed: 7, stream: 3))
        let threshold = DropoutKey.threshold(probability)
        let dropped = (0..<n).count { UInt32(key.bits($0)) < threshold }
        let p = Double(probability)
        let deviation = (Double(n) * p * (1 - p)).squareRoot()
        #expect(abs(Double(dropped) - Double(n) * p) < 4 * deviation)
    }
}
