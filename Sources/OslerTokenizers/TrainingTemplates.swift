internal import OslerFormats

/// Templates to train with, for families whose shipped template loses part of the assistant's text.
///
/// A family is recognised by behaviour: the shipped template and ours render the same for a set of
/// short chats without reasoning. So a template that was edited is either still the same family, or
/// none that we know.
package enum TrainingTemplates {
    /// The template to train with instead of `source`, and a line that tells the user why; nil when
    /// `source` is of no family that needs one, as far as we know.
    ///
    /// The assistant's content is kept byte for byte in every turn, and the generation spans cover
    /// it and the end-of-turn token. One exception, where inference asks for it: the DeepSeek-R1
    /// revisions whose generation prompt ends with `<think>\n` get a newline after an opening
    /// `<think>` that has none, so that the prompt's tokens begin the row. The `<think>` is in the
    /// loss there too, for servers whose prompt ends at `<｜Assistant｜>`. A message's
    /// `reasoning_content` is written before the content, between `<think>` tags. Chats with tools
    /// are refused.
    package static func safeTemplate(for source: String) -> (template: ChatTemplate, note: String)?
    {
        let deepSeek = """
            the shipped template leaves the reasoning out of assistant turns; training with \
            one that keeps it in every turn
            """
        let qwen = """
            the shipped template leaves the reasoning out of earlier turns and rewrites the last \
            one; training with one that keeps every turn as it is
            """
        guard let shipped = try? ChatTemplate(source) else { return nil }
        for opening in ["<think>\\n", ""] {
            for joinsSystem in [false, true] {
                let candidate = deepSeekSafe(opening: opening, joinsSystem: joinsSystem)
                if let template = matching(candidate, "deepseek-r1-safe", shipped, deepSeekProbes) {
                    return losesReasoning(shipped) ? (template, deepSeek) : nil
                }
            }
        }
        if let template = matching(qwen3Safe, "qwen3-safe", shipped, qwen3Probes) {
            return losesReasoning(shipped) ? (template, qwen) : nil
        }
        return nil
    }

    /// The equivalent of the template that TRL puts in `source`'s place for
    /// `assistant_only_loss=True`: the same text and the same loss, DeepSeek's `<｜Assistant｜>` in
    /// it included. Nil for families that TRL has none for.
    package static func trlTemplate(for source: String) -> ChatTemplate? {
        guard let shipped = try? ChatTemplate(source) else { return nil }
        for (name, candidate, probes) in trlFamilies {
            if let template = matching(candidate, "trl-" + name, shipped, probes) {
                return template
            }
        }
        return nil
    }

    /// Whether an assistant's `content` is in the rendered `text` as it was given, or with the
    /// newline after `<think>` that `safeTemplate` writes.
    package static func keeps(_ content: String, in text: String) -> Bool {
        if PythonStrings.contains(text, content) { return true }
        guard content.utf8.starts(with: "<think>".utf8) else { return false }
        return PythonStrings.contains(
            text, "<think>\n" + content.unicodeScalars.dropFirst(7).map(String.init).joined())
    }

    // MARK: Recognising a family

    /// The candidate if it renders as `shipped` does for each probe, with and without a generation
    /// prompt.
    private static func matching(
        _ candidate: String, _ name: String, _ shipped: ChatTemplate, _ probes: [[JSON]]
    ) -> ChatTemplate? {
        guard let template = try? ChatTemplate(candidate, name: name) else { return nil }
        for chat in probes {
            for prompting in [false, true] {
                let theirs = try? shipped.render(
                    chat, addGenerationPrompt: prompting, variables: tokens)
                let ours = try? template.render(
                    chat, addGenerationPrompt: prompting, variables: tokens)
                if theirs?.text != ours?.text { return nil }
            }
        }
        return template
    }

    private static func losesReasoning(_ template: ChatTemplate) -> Bool {
        let content = "<think>why</think>so"
        let chat = [message("user", "q"), message("assistant", content), message("user", "r")]
        guard let text = try? template.render(chat, variables: tokens).text else { return false }
        return !PythonStrings.contains(text, content)
    }

    private static let tokens: [String: JSON] = [
        "bos_token": .string("<bos-probe>"), "eos_token": .string("<eos-probe>"),
    ]

    private static func message(_ role: String, _ content: String) -> JSON {
        .object(JSON.Object([("role", .string(role)), ("content", .string(content))]))
    }

    private static let (system, user, assistant) = (
        message("system", " be kind\n"), message("user", " why? "), message("assistant", "so")
    )
    private static let prompts: [[JSON]] = [
        [user], [system, user], [message("system", ""), user], [user, user],
    ]
    private static let chats = prompts + [[system, user, assistant], [user, assistant, user]]
    /// DeepSeek's revisions differ in what several system messages become.
    private static let deepSeekProbes = chats + [[system, system, user]]
    /// Qwen3 writes an empty reasoning into a last turn, and ours doesn't.
    private static let qwen3Probes = prompts + [[user, assistant, user]]
    /// TRL's writes it into every turn.
    private static let trlQwen3Probes = prompts + [[user, assistant], [system, user, assistant]]

    private static let trlFamilies: [(name: String, source: String, probes: [[JSON]])] = [
        ("deepseek-r1", trlDeepSeek, deepSeekProbes), ("llama3", trlLlama3, chats),
        ("qwen2.5", trlQwen2, chats), ("qwen3", trlQwen3, trlQwen3Probes),
        ("gemma", trlGemma, chats), ("phi3", trlPhi3, chats),
    ]
}
