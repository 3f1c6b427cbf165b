import Testing

@testable import osler

/// What a terminal sends, as text.
@Suite struct LineBufferTests {
    private func typed(_ bytes: some Sequence<UInt8>) -> (text: String, event: LineBuffer.Event) {
        var line = LineBuffer()
        for byte in bytes {
            let event = line.push(byte)
            if event != .none { return (line.text, event) }
        }
        return (line.text, .none)
    }

    @Test(arguments: [
        ("40 °C, 体温, 👩‍⚕️\r", "40 °C, 体温, 👩‍⚕️"),
        ("fevv\u{7F}er\n", "fever"), ("体\u{8}x\r", "x"), ("e\u{301}\u{7F}a\r", "a"),
        ("\u{7F}a\r", "a"),
        ("one two\u{17}three\r", "one three"), ("one two  \u{17}\u{17}a\r", "a"),
        ("all of it\u{15}new\r", "new"),
        // Arrows, Home, Delete, F1, Alt-b, Ctrl-A: read over.
        ("a\u{1B}[D\u{1B}[1;5C\u{1B}OH\u{1B}[3~\u{1B}OP\u{1B}b\u{1}b\r", "ab"),
        // A paste keeps its lines, whichever way they end, and Ctrl-D in the middle of a line is nothing.
        ("\u{1B}[200~a\rb\nc\r\nd\u{1B}[201~!\r", "a\nb\nc\nd!"),
        ("x\u{1B}[200~\u{3}\u{4}\u{15}\ty\u{1B}[201~\u{4}z\r", "x\tyz"),
    ])
    func `keys become text`(bytes: String, text: String) {
        let result = typed(bytes.utf8)
        #expect(result.text == text && result.event == .submitted)
    }

    @Test func `the end and an interruption are told apart`() {
        #expect(typed([0x04]).event == .ended)
        #expect(typed("a".utf8 + [0x7F, 0x04]).event == .ended)
        #expect(typed("a".utf8 + [0x04]).event == .none)
        #expect(typed("a".utf8 + [0x03]).event == .interrupted)
    }

    @Test func `bytes that are no text are left out`() {
        #expect(typed([0x61, 0xFF, 0x80, 0xE4, 0xBD, 0x62, 0x0D]).text == "ab")
    }

    /// The kernel's lines end at 4,095 bytes.
    @Test func `a line has any length`() {
        let long = String(repeating: "fever and chills. ", count: 1000)
        #expect(typed((long + "\r").utf8).text == long)
    }
}
