/// What the names of llama.cpp's pre-tokenizers (`tokenizer.ggml.pre`) stand for.
struct GGUFPreTokenizer {
    var names: [String]
    var steps: [PreTokenizer.Step]
    var normalizer = Normalizer.none
    var ignoresMerges = false
    /// Whether BOS is put before the text when the file doesn't say.
    var addsBOS = false

    static func named(_ name: String) -> GGUFPreTokenizer? {
        all.first { $0.names.contains(name) }
    }

    static let all = [
        GGUFPreTokenizer(names: ["gpt-2", "phi-2", "mpt", "olmo"], steps: [.gpt2]),
        GGUFPreTokenizer(
            names: ["smollm", "starcoder", "refact", "command-r", "codeshell"],
            steps: [.run(ClassRun(digitsOneByOne: true)), .gpt2]),
        GGUFPreTokenizer(
            names: ["llama-bpe", "llama3", "llama-v3"], steps: [.llama3(digits: 3)],
            ignoresMerges: true, addsBOS: true),
        GGUFPreTokenizer(
            names: ["qwen2", "deepseek-r1-qwen"], steps: [.llama3(digits: 1)], normalizer: .nfc),
        GGUFPreTokenizer(
            names: ["deepseek-llm"],
            steps: runs(
                "[\\r\\n]", deepseekLetters, "\\s?[!-/:-~！-／：-～‘-‟　-。]+")
                + [.trailingSpace] + runs("[一-龥ࠀ-一가-퟿]+", "\\p{N}")),
        GGUFPreTokenizer(
            names: ["deepseek-coder"],
            steps: runs(
                "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}")),
        GGUFPreTokenizer(
            names: ["deepseek-v3"],
            steps: runs("\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+") + [.deepseekV3]),
    ]

    private static func runs(_ patterns: String...) -> [PreTokenizer.Step] {
        patterns.compactMap { ClassRun($0).map { .run($0) } }
    }

    /// The cased letters as DeepSeek LLM lists them.
    private static let deepseekLetters =
        "\\s?["
        + "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ"
        + "-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u{1F7D}ᾀ-ᾴᾶ-ᾼ\u{1FBE}ῂ-ῄῆ-ῌῐ-\u{1FD3}ῖ-\u{1FDB}ῠ-Ῥῲ-ῴ"
        + "ῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-"
        + "ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
        + "]+"
}
