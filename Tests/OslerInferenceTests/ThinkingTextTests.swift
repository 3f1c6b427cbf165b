import OslerInference
import Testing

@Suite struct ThinkingTextTests {
    /// The text between the tags, however the text is cut.
    @Test(arguments: [
        ("", "a<think>b</think>c", "<think>b</think>"),
        ("prompt <think>\n", "b</think>c", "b</think>"),
        ("<think>x</think>", "b < c </think> d", ""),
        ("", "no <thin tag <thinking>", ""),
        ("", "<<think>a</<</think>b<think>c", "<think>a</<</think><think>c"),
        ("", "ends with <thi", ""),
        ("<think>", "ends with </thi", "ends with </thi"),
    ])
    func `thinking is what stands between the tags`(
        prompt: String, text: String, thinking: String
    ) {
        for size in [1, 2, 3, 5, 100] {
            var state = ThinkingText(after: prompt)
            var parts: [ThinkingText.Part] = []
            var rest = text[...]
            while !rest.isEmpty {
                parts += state.push(String(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            parts += state.finish()
            #expect(parts.map(\.text).joined() == text)
            #expect(parts.filter(\.isThinking).map(\.text).joined() == thinking)
        }
    }
}
