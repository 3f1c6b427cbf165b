import Foundation
import OslerFormats
import OslerTestSupport
import Testing

/// `osler chat` at a terminal.
@Suite struct ChatTests {
    /// What the model answers to one prompt.
    private func answer(_ model: String, _ prompt: String) throws -> String {
        let outcome = try osler([
            "generate", "--model", model, "--prompt", prompt, "--greedy", "--max-new-tokens", "12",
        ])
        try #require(outcome.code == 0, "\(outcome.errors)")
        return outcome.output.trimmingCharacters(in: .newlines)
    }

    private func chat(_ place: Workplace, columns: UInt16 = 80) throws -> TerminalRun {
        try TerminalRun(
            ["chat", "--model", place.model, "--greedy", "--max-new-tokens", "12"],
            columns: columns)
    }

    enum Typing: CaseIterable {
        case plain, corrected, pasted, long

        var keys: String {
            switch self {
            case .plain: "Fever\r"
            case .corrected: "Fevvv\u{7F}\u{7F}er\r"
            case .pasted: "\u{1B}[200~one\r\rtwo\r\u{1B}[201~\r"
            // The kernel would keep 4,095 bytes of it.
            case .long: String(repeating: "x", count: 5000) + "\u{15}Fever\r"
            }
        }
        var prompt: String { self == .pasted ? "one\n\ntwo" : "Fever" }
    }

    @Test(arguments: Typing.allCases)
    func `a message is answered as generate answers it`(_ typing: Typing) throws {
        let place = try Workplace()
        let chat = try chat(place)
        try chat.waitForPrompt()
        try chat.type(typing.keys)
        let screen = try chat.waitForPrompt()
        try chat.type("\u{4}")
        #expect(try chat.end() == 0)
        let wanted = try answer(place.model, typing.prompt).split(separator: "\n").joined(
            separator: "\r\n")
        #expect(screen.contains(wanted), "\(wanted) in \(screen)")
    }

    @Test func `the end of input and an interruption end it, with the terminal as it was`() throws {
        let place = try Workplace()
        for (key, code) in [
            ("\u{4}", 0), ("\u{3}", 130), ("half a line\u{3}", 130), ("/exit\r", 0),
        ] {
            let chat = try chat(place)
            let before = try chat.mode()
            try chat.waitForPrompt()
            #expect(try chat.mode() != before)
            try chat.type(key)
            #expect(try chat.end() == code)
            #expect(try chat.mode() == before)
        }
    }

    @Test func `an interruption while it answers ends only the answer`() throws {
        let place = try Workplace()
        // Room for so long an answer that it can't be over before the interruption comes.
        try place.edit("model/config.json") {
            $0.replacing(
                "\"max_position_embeddings\": 512", with: "\"max_position_embeddings\": 20000")
        }
        let chat = try TerminalRun([
            "chat", "--model", place.model, "--greedy", "--context", "20000",
            "--max-new-tokens", "20000",
        ])
        try chat.waitForPrompt()
        try chat.type("Fever\r")
        try chat.waitForText()
        try chat.type("\u{3}")
        let screen = try chat.waitForPrompt()
        // All 20,000 tokens are more than as many characters.
        #expect(screen.count < 10_000)
        try chat.type("\u{4}")
        #expect(try chat.end() == 0)
    }

    @Test func `an answer that is cut says so`() throws {
        let place = try Workplace()
        let chat = try chat(place)
        try chat.waitForPrompt()
        try chat.type("Fever\r")
        let screen = try chat.waitForPrompt()
        #expect(screen.contains("cut at --max-new-tokens 12"), "\(screen)")
        try chat.type(String(repeating: "Fever. ", count: 600) + "\r")
        let full = try chat.waitForPrompt()
        #expect(full.contains("would fill the 512 tokens"), "\(full)")
        try chat.type("\u{4}")
        #expect(try chat.end() == 0)
    }

    @Test func `reasoning is dimmed, whether or not the user speaks of it`() throws {
        let place = try Workplace()
        func screen(_ message: String) throws -> String {
            let chat = try chat(place)
            try chat.waitForPrompt()
            try chat.type(message)
            try chat.waitFor(message)
            try chat.type("\r")
            defer { try? chat.type("\u{4}") }
            return try chat.waitForPrompt()
        }
        #expect(try !screen("What is <think>?").contains("\u{1B}[2m"))
        // As DeepSeek-R1's template, which begins the reasoning.
        try place.edit("model/chat_template.jinja") {
            $0.replacing(
                "<|im_start|>assistant\n' }}", with: "<|im_start|>assistant\n<think>\n' }}")
        }
        let dimmed = try screen("Fever")
        #expect(dimmed.contains("\u{1B}[2m"), "\(dimmed)")
    }

    /// At a terminal 10 wide: deleting goes up a row, and a wide character moves to the next one whole.
    @Test func `what is deleted is erased over rows`() throws {
        let place = try Workplace()
        let chat = try chat(place, columns: 10)
        try chat.waitForPrompt()
        try chat.type("12345678")
        try chat.type("9")
        try chat.waitFor("9")
        // Back over the edge: up a row, and the last character of the full row again.
        try chat.type("\u{7F}")
        try chat.waitFor("\u{1B}[1A\u{1B}[10G\u{1B}[J8")
        try chat.type("\u{7F}")
        try chat.waitFor("\u{1B}[10G\u{1B}[J")
        try chat.type("体")
        try chat.waitFor("体")
        try chat.type("\u{7F}")
        try chat.waitFor("\u{1B}[1A\u{1B}[10G\u{1B}[J")
        try chat.type("\u{3}")
        #expect(try chat.end() == 130)
    }
}
