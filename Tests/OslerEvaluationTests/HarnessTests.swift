import OslerData
import OslerEvaluation
import OslerInference
import OslerTestSupport
import OslerTokenizers
import Testing

@Suite struct HarnessTests {
    /// Values of lm_eval 0.4.13's `HFLM._encode_pair` with the same tokenizer.
    @Test(
        arguments: [
            (
                "Question: Q\nA. x\nAnswer:", "A",
                [
                    53, 89, 408, 292, 30, 225, 53, 203, 37, 18, 225, 92, 203, 37, 82, 87, 91, 273,
                    30,
                ],
                [426]
            ),
            (
                "Question: why? ", " because", [53, 89, 408, 292, 30, 337, 93, 35],
                [225, 225, 486, 416]
            ),
            ("Answer:\n", "B cells", [37, 82, 87, 91, 273, 30], [203, 510, 270, 430, 87]),
            ("The heart", "rate", [56, 263, 321, 381], [350, 385]),
            ("<|im_start|>Hi", "you", [1, 44, 77], [431, 290]),
        ] as [(String, String, [Int32], [Int32])])
    func `tokens are the harness'`(
        context: String, continuation: String, known: [Int32], new: [Int32]
    ) throws {
        let tokens = HarnessTokens(
            context: context, continuation: continuation, tokenizer: try Tiny().chat.tokenizer,
            maxPositions: 100)
        #expect(tokens.ids == known + new)
        #expect(tokens.known == known.count)
        let cut = HarnessTokens(
            context: context, continuation: continuation, tokenizer: try Tiny().chat.tokenizer,
            maxPositions: new.count + 1)
        #expect(cut.ids == known.suffix(2) + new)
        #expect(cut.known == 2)
    }

    @Test func `choices by sum, by character and by byte`() {
        func best(_ values: [Double], _ texts: [String]) -> [Int] {
            let found = HarnessTokens.choices(logLikelihoods: values, texts: texts)
            return [found.sum, found.perCharacter, found.perByte]
        }
        #expect(best([-3, -4, -5], ["a", "abcd", "abc"]) == [0, 1, 1])
        // "é" is one character of two bytes, "e" with an accent of its own two of three.
        #expect(best([-3, -4.5], ["éé", "abcde"]) == [0, 1, 0])
        #expect(best([-4, -5], ["ab", "e\u{301}"]) == [0, 0, 1])
        #expect(best([-2, -2], ["a", "b"]) == [0, 0, 0])
    }

    @Test(arguments: [true, false])
    func `continuations are the ends of whole sequences`(usesAdapters: Bool) throws {
        let tiny = try Tiny()
        let scorer = SequenceScorer(tiny.model, usesAdapters: usesAdapters)
        let sequences: [(ids: [Int32], known: Int)] = [
            ([53, 89, 408, 292, 30], 3), ([37, 82], 1), ([56, 263, 321, 381, 350, 385], 1),
        ]
        let found = try scorer.continuations(sequences)
        let whole = try scorer.score(sequences.map(\.ids))
        for ((ids, known), (own, all)) in zip(sequences, zip(found, whole)) {
            #expect(own.logProbabilities.count == ids.count - known)
            let difference = GoldenDifference(own.logProbabilities, Array(all[(known - 1)...]))
            #expect(difference.absolute < 1e-5)
            var isGreedy = true
            for place in known..<ids.count {
                let next = try scorer.next(after: Array(ids[..<place]))
                #expect(abs(next[Int(ids[place])] - Double(all[place - 1])) < 1e-4)
                isGreedy = isGreedy && next.max() == next[Int(ids[place])]
            }
            #expect(own.isGreedy == isGreedy)
        }
        // The most probable token is greedy.
        let next = try scorer.next(after: [53, 89])
        let top = try #require(next.indices.max { next[$0] < next[$1] })
        #expect(try scorer.continuations([([53, 89, Int32(top)], 2)])[0].isGreedy)
    }
}
