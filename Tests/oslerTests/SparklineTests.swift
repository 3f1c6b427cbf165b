import Testing

@testable import osler

@Suite struct SparklineTests {
    @Test func `low is a low bar`() {
        #expect(Sparkline.text([7, 6, 5, 4, 3, 2, 1, 0], width: 8) == "█▇▆▅▄▃▂▁")
        #expect(Sparkline.text([1, .nan, 2], width: 8) == "▁█")
        #expect(Sparkline.text([3, 3], width: 8) == "▁▁")
        #expect(Sparkline.text([], width: 8) == "" && Sparkline.text([1], width: 0) == "")
    }

    @Test func `more numbers than bars are averaged`() {
        #expect(Sparkline.text([0, 2, 8, 8, 3, 5], width: 3) == "▁█▄")
        #expect(Sparkline.text((0..<1000).map(Double.init), width: 8) == "▁▂▃▄▅▆▇█")
    }
}
